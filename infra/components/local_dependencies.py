"""What the service needs and a cluster elsewhere has: PostgreSQL, Valkey, the outside world.

For the stack `local` only. One pod each. PostgreSQL's data is on a disk that outlives its pod; what
the others hold is thrown away with theirs. Any image will do that keeps to the contract of its
publisher's: docs/develop/infrastructure.md has it. None of them may need root, or write outside of
the folders given here.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from infra import labels
from infra.components import flows, pods
from infra.components.scope import Scope
from infra.components.workload import service, service_account
from infra.sections import Amounts, Dependencies, Resources
from service.store.service_role import SERVICE_ROLE

SMALL: Final = Resources(
    requests=Amounts(cpu="50m", memory="64Mi", ephemeral_storage="256Mi"),
    limits=Amounts(cpu="1", memory="512Mi", ephemeral_storage="2Gi"),
)
"""PostgreSQL takes 30 MiB when idle; the rest is for a load test on one machine."""
GRACE_S: Final = 30
MIN_READY_S: Final = 1
PROGRESS_DEADLINE_S: Final = 180
"""Pulling three images and an initdb on a slow machine."""
REVISIONS: Final = 2
CLIENTS: Final = {
    labels.POSTGRESQL: flows.ROLES,
    labels.VALKEY: (labels.API,),
    labels.SIMULATOR: flows.SERVERS,
}
LOGINS: Final = (
    "POSTGRES_USER",
    "POSTGRES_PASSWORD",
    "POSTGRES_DB",
    "SERVICE_USER",
    "SERVICE_PASSWORD",
)
"""What PostgreSQL is set up with: the owner's login and database, then the service's login."""
SCRIPTS: Final = "scripts"
SCRIPTS_FOLDER: Final = "/docker-entrypoint-initdb.d"
"""Whose files the publisher's image runs once, with psql, when it has made the data."""
MAKE_SERVICE_LOGIN: Final = rf"""\getenv name SERVICE_USER
\getenv password SERVICE_PASSWORD
CREATE ROLE {SERVICE_ROLE} NOLOGIN;
CREATE ROLE :"name" LOGIN PASSWORD :'password' IN ROLE {SERVICE_ROLE};
"""
DATA: Final = "data"
"""The name of PostgreSQL's volume, and of its claim in front of the pod's name."""
DATA_SIZE: Final = "2Gi"
"""A day of load tests on one machine; another size needs another StatefulSet."""
PGDATA: Final = "/data/pgdata"
"""Below the volume's own folder, which may hold `lost+found` and belongs to root."""

core = k8s.core.v1


@dataclass(frozen=True, slots=True)
class DependenciesArgs:
    """`database` holds a text for each of LOGINS; `secret` is the Secret of the service.

    `webhook_url` is where the simulator announces what happened to a charge; of the secrets that
    it shares with the service, `needed_secrets` are there for certain.
    """

    scope: Scope
    images: Dependencies
    database: Mapping[str, pulumi.Input[str]]
    secret: str
    webhook_url: str
    needed_secrets: Collection[str]


@dataclass(frozen=True, slots=True)
class _Server:
    """One pod that listens on one port. `folders` are the only ones that it can write to.

    The folder `claim` is on a disk of its own; without one a pod takes all it has with it.
    """

    name: str
    image: str
    port: int
    args: Sequence[str] | None = None
    env: Sequence[k8s.core.v1.EnvVarArgs] = ()
    folders: Mapping[str, str] | None = None
    claim: str | None = None
    scripts: str | None = None
    """The ConfigMap with what sets it up."""
    ready_path: str | None = None


class LocalDependencies(pulumi.ComponentResource):
    """Three small servers that only the service can reach."""

    def __init__(self, args: DependenciesArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("coinslot:k8s:LocalDependencies", "dependencies", None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        for server in (self._postgresql(), _valkey(args), _simulator(args)):
            self._serve(server)
        self._webhooks()
        self.register_outputs({})

    def _postgresql(self) -> _Server:
        """Return the database, after making its logins' Secret and the script that uses them."""
        scope, name = self._args.scope, labels.resource_name(labels.POSTGRESQL)
        core.Secret(
            labels.POSTGRESQL,
            metadata=scope.metadata(name, labels.POSTGRESQL),
            type="Opaque",
            string_data={variable: self._args.database[variable] for variable in LOGINS},
            opts=self._child,
        )
        core.ConfigMap(
            labels.POSTGRESQL,
            metadata=scope.metadata(name, labels.POSTGRESQL),
            data={"service-login.sql": MAKE_SERVICE_LOGIN},
            opts=self._child,
        )
        return _Server(
            name=labels.POSTGRESQL,
            image=self._args.images.postgresql,
            port=labels.POSTGRESQL_PORT,
            env=[
                core.EnvVarArgs(name="PGDATA", value=PGDATA),
                *(pods.from_secret(variable, name, variable) for variable in LOGINS),
            ],
            folders={DATA: "/data", "run": "/var/run/postgresql"},
            claim=DATA,
            scripts=name,
        )

    def _serve(self, server: _Server) -> None:
        scope = self._args.scope
        account = service_account(scope, server.name, self._child)
        after = pulumi.ResourceOptions.merge(
            self._child, pulumi.ResourceOptions(depends_on=[account])
        )
        (self._with_disk if server.claim else self._without_disk)(server, after)
        # Kubernetes asks of a StatefulSet's Service that it be headless: its pod has a name then.
        headless = {"cluster_ip": "None"} if server.claim else {}
        service(scope, server.name, {server.name: server.port}, self._child, **headless)
        clients = [flows.from_pods(CLIENTS[server.name], server.name)]
        flows.allow(scope, server.name, [server.name], self._child, ingress=clients)

    def _without_disk(self, server: _Server, opts: pulumi.ResourceOptions) -> None:
        scope = self._args.scope
        k8s.apps.v1.Deployment(
            server.name,
            metadata=scope.metadata(labels.resource_name(server.name), server.name),
            spec=k8s.apps.v1.DeploymentSpecArgs(
                replicas=1,
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=labels.selector(server.name)),
                # Two at once would be two servers behind one name.
                strategy=k8s.apps.v1.DeploymentStrategyArgs(type="Recreate"),
                min_ready_seconds=MIN_READY_S,
                progress_deadline_seconds=PROGRESS_DEADLINE_S,
                revision_history_limit=REVISIONS,
                template=_template(server, scope),
            ),
            opts=opts,
        )

    def _with_disk(self, server: _Server, opts: pulumi.ResourceOptions) -> None:
        """Make a pod whose claim stays, also when the StatefulSet is made again."""
        scope, name = self._args.scope, labels.resource_name(server.name)
        k8s.apps.v1.StatefulSet(
            server.name,
            metadata=scope.metadata(name, server.name),
            spec=k8s.apps.v1.StatefulSetSpecArgs(
                replicas=1,
                service_name=name,
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=labels.selector(server.name)),
                min_ready_seconds=MIN_READY_S,
                revision_history_limit=REVISIONS,
                template=_template(server, scope),
                volume_claim_templates=[_claim(server, scope)],
            ),
            opts=opts,
        )

    def _webhooks(self) -> None:
        """Let the simulator call the API, which it finds by name."""
        scope, out = self._args.scope, flows.to_pods([labels.API], labels.HTTP_PORT_NAME)
        flows.allow(
            scope, "webhooks-out", [labels.SIMULATOR], self._child, egress=[out, *flows.dns()]
        )
        clients = [flows.from_pods([labels.SIMULATOR], labels.HTTP_PORT_NAME)]
        flows.allow(scope, "webhooks-in", [labels.API], self._child, ingress=clients)


def _valkey(args: DependenciesArgs) -> _Server:
    return _Server(
        name=labels.VALKEY,
        image=args.images.valkey,
        port=labels.VALKEY_PORT,
        # A cache: nothing is saved. Who may connect is up to the NetworkPolicy; it has no password.
        args=["valkey-server", "--save", "", "--appendonly", "no", "--protected-mode", "no"],
    )


def _simulator(args: DependenciesArgs) -> _Server:
    secrets = ("SIMULATOR_API_KEY", "LIBRARY_TOKEN", "SIMULATOR_WEBHOOK_SECRETS")
    return _Server(
        name=labels.SIMULATOR,
        image=args.images.simulator,
        port=labels.SIMULATOR_PORT,
        args=["--host", "0.0.0.0", "--port", str(labels.SIMULATOR_PORT)],  # noqa: S104  a pod's own
        env=[
            core.EnvVarArgs(name="SIMULATOR_WEBHOOK_URL", value=args.webhook_url),
            *(
                pods.from_secret(name, args.secret, name, optional=name not in args.needed_secrets)
                for name in secrets
            ),
        ],
        ready_path="/health/ready",
    )


def _template(server: _Server, scope: Scope) -> k8s.core.v1.PodTemplateSpecArgs:
    folders = {**pods.TMP_FOLDER, **(server.folders or {})}
    container = pods.container(
        server.name,
        server.image,
        SMALL,
        folders,
        {server.name: server.port},
        read_only={SCRIPTS: SCRIPTS_FOLDER} if server.scripts else {},
        args=list(server.args) if server.args else None,
        env=list(server.env) or None,
        startup_probe=pods.probe(server.name, server.ready_path, period_s=2, failures=60),
        readiness_probe=pods.probe(server.name, server.ready_path, period_s=3, failures=2),
        # Life is a port that answers: slow is not dead.
        liveness_probe=pods.probe(server.name, None, period_s=10, failures=6),
    )
    return pods.hardened(
        server.name,
        {**scope.labels, **labels.selector(server.name)},
        container,
        sizes={name: "1Gi" for name in folders if name != server.claim},
        config_maps={SCRIPTS: server.scripts} if server.scripts else {},
        # Always would open the private folders on a disk to the group at each start.
        fs_group_change="OnRootMismatch" if server.claim else None,
        termination_grace_period_seconds=GRACE_S,
    )


def _claim(server: _Server, scope: Scope) -> k8s.core.v1.PersistentVolumeClaimArgs:
    """Return the claim on a disk of the cluster's default storage class."""
    return core.PersistentVolumeClaimArgs(
        api_version="v1",
        kind="PersistentVolumeClaim",
        metadata=k8s.meta.v1.ObjectMetaArgs(
            name=server.claim, labels={**scope.labels, **labels.selector(server.name)}
        ),
        spec=core.PersistentVolumeClaimSpecArgs(
            access_modes=["ReadWriteOnce"],
            resources=core.VolumeResourceRequirementsArgs(requests={"storage": DATA_SIZE}),
        ),
    )
