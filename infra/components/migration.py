"""The migration Job: it runs before the rollout, and once for each content.

A Job's template can't change, so its name carries a hash of what it would do: the same image with
the same migrations and configuration is the same Job, and anything else a new one. The same one
that is not done, because it failed or was cut short, is replaced. The old one goes first: made
before it goes, one of the same name would meet it, or be deleted in its place by a later run.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from infra import labels
from infra.components import pods
from infra.components.scope import Scope
from infra.components.workload import service_account
from infra.sections import Amounts, Resources

BACKOFF_LIMIT: Final = 2
"""The database may be restarting; a migration that fails three times needs a person."""
DEADLINE_S: Final = 600
"""Longer than any expanding migration may take; the rollout waits meanwhile."""
HASH_DIGITS: Final = 8

RESOURCES: Final = Resources(
    requests=Amounts(cpu="50m", memory="128Mi"), limits=Amounts(cpu="500m", memory="256Mi")
)
"""One connection and a few statements; the database does the work."""


@dataclass(frozen=True, slots=True)
class MigrationArgs:
    """`migrations` is the folder whose content the Job's name depends on."""

    scope: Scope
    pod: pods.PodArgs
    migrations: Path


class Migration(pulumi.ComponentResource):
    """A finished Migration means that the schema is this release's."""

    job_name: str

    def __init__(self, args: MigrationArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("coinslot:k8s:Migration", labels.MIGRATE, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        account = service_account(args.scope, labels.MIGRATE, child)
        # Another revision of somebody else's Secret is nothing to migrate by: no marks on its pods.
        pod = replace(args.pod, rollout_marks={})
        suffix = content_hash(pod, args.migrations)
        self.job_name = f"{labels.resource_name(labels.MIGRATE)}-{suffix}"
        role = pods.RoleArgs(
            role=labels.MIGRATE,
            resources=RESOURCES,
            spread=False,
            restart_policy="Never",
        )
        k8s.batch.v1.Job(
            labels.MIGRATE,
            # One that has failed is made again, once its cause is gone.
            metadata=args.scope.metadata(
                self.job_name, labels.MIGRATE, annotations={labels.REPLACE_UNREADY: "true"}
            ),
            spec=k8s.batch.v1.JobSpecArgs(
                backoff_limit=BACKOFF_LIMIT,
                active_deadline_seconds=DEADLINE_S,
                template=pods.template(pod, role, args.scope.labels),
            ),
            opts=pulumi.ResourceOptions.merge(
                child,
                pulumi.ResourceOptions(depends_on=[account], delete_before_replace=True),
            ),
        )
        self.register_outputs({"job": self.job_name})


def content_hash(pod: pods.PodArgs, migrations: Path) -> str:
    """Return a short hash of what the pods run with and of every file in the folder."""
    digest = hashlib.sha256(json.dumps(asdict(pod), sort_keys=True, default=dict).encode())
    for path in sorted(migrations.glob("*.sql")):
        digest.update(b"\0" + path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:HASH_DIGITS]
