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
    *(
        Waiver(
            rule=rule,
            object=f"Deployment coinslot-{server}",
            reason="One copy that holds all there is: a second would be another database. What it "
            "holds is thrown away with it.",
            expires=date(2027, 9, 30),
            stacks=("local",),
        )
        for server in ("postgresql", "simulator", "valkey")
        for rule in ("budget-exists", "more-than-one-pod", "rolls-without-loss", "spread-out")
    ),
)
