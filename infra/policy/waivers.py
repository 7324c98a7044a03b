"""What is let pass, why, and until when. `infra/policy/rules.py` says what the fields mean."""

from datetime import date
from typing import Final

from infra.policy.rules import Waiver

ALL: Final = ("local", "staging", "prod")

WAIVERS: Final[tuple[Waiver, ...]] = (
    Waiver(
        rule="jobs-expire",
        object="Job coinslot-migrate-*",
        reason="Pulumi keeps the Job in its state: one that removes itself would be made and run "
        "again by the next update. There is one at a time; the next release deletes it.",
        expires=date(2027, 9, 30),
        stacks=ALL,
    ),
    Waiver(
        rule="image-pinned-in-prod",
        object="*",
        reason="No image has been published yet, so there is no digest to name.",
        expires=date(2027, 3, 31),
        stacks=("prod",),
    ),
    Waiver(
        rule="more-than-one-pod",
        object="Deployment coinslot-worker",
        reason="On one machine a second worker protects from nothing.",
        expires=date(2027, 9, 30),
        stacks=("local",),
    ),
    Waiver(
        rule="kube-score/container-image-pull-policy",
        object="*",
        reason="A tag is never pushed twice, so what a node has is right; asking the registry at "
        "each start would let its outage stop a pod from coming back.",
        expires=date(2027, 9, 30),
        stacks=ALL,
    ),
    Waiver(
        rule="kube-score/deployment-replicas",
        object="Deployment coinslot-*",
        reason="One machine: see more-than-one-pod.",
        expires=date(2027, 9, 30),
        stacks=("local",),
    ),
    Waiver(
        rule="kube-score/deployment-strategy",
        object="Deployment coinslot-*",
        reason="Two servers behind one name would be worse than none: see rolls-without-loss.",
        expires=date(2027, 9, 30),
        stacks=("local",),
    ),
    *(
        Waiver(
            rule="kube-score/pod-probes-identical",
            object=server,
            reason="A connection is all that can be asked for without a client in the image; for "
            "life it is asked ten times more patiently (see liveness-differs).",
            expires=date(2027, 9, 30),
            stacks=("local",),
        )
        for server in ("StatefulSet coinslot-postgresql", "Deployment coinslot-valkey")
    ),
    *(
        Waiver(
            rule=rule,
            object="StatefulSet coinslot-postgresql",
            reason="One copy that holds all there is: a second would be another database.",
            expires=date(2027, 9, 30),
            stacks=("local",),
        )
        for rule in ("more-than-one-pod", "spread-out")
    ),
    *(
        Waiver(
            rule=rule,
            object=f"Deployment coinslot-{server}",
            reason="One copy that holds all there is: a second would be another server. What it "
            "holds is thrown away with it.",
            expires=date(2027, 9, 30),
            stacks=("local",),
        )
        for server in ("simulator", "valkey")
        for rule in ("more-than-one-pod", "rolls-without-loss", "spread-out")
    ),
)
