"""The settings of a stack, as types: what can be said in a Pulumi.<stack>.yaml, and no more.

The keys are those of the file under the project's name, in camelCase. What single values may be is
stated here; what must fit together is in infra/coherence.py.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from infra import labels, service_settings
from infra.stacks import Stack
from service.settings import Settings

Cpu = Annotated[
    str, Meta(pattern=r"^[1-9][0-9]{0,5}m?\Z", description="cores such as 2, or 250m of one")
]
Bytes = Annotated[
    str, Meta(pattern=r"^[1-9][0-9]{0,5}(Ki|Mi|Gi)\Z", description="an amount such as 512Mi")
]
Name = Annotated[
    str, Meta(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z", description="a Kubernetes name")
]
LabelKey = Annotated[
    str,
    Meta(
        pattern=r"^(?!app\.kubernetes\.io/)([a-z0-9.-]{1,253}/)?"
        r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?\Z",
        description="a label's name, and none of app.kubernetes.io/, which are set already",
    ),
]
LabelValue = Annotated[
    str,
    Meta(
        pattern=r"^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?\Z",
        description="a label's value",
    ),
]
Port = Annotated[int, Meta(ge=1, le=65_535)]
ImageName = Annotated[
    str,
    Meta(
        pattern=r"^(localhost|[a-z0-9.-]+(:\d+)?(?=.*@))(/[a-z0-9._-]+)+"
        r":(?!latest(@|\Z))[A-Za-z0-9][A-Za-z0-9._-]{0,62}(@sha256:[0-9a-f]{64})?\Z",
        description="an image with a tag, not latest, and with a digest unless it is localhost/…",
    ),
]
"""A registry's tag can be pushed again. `localhost/` is no registry: somebody has loaded the image
onto the nodes, and what bytes these are is theirs to say."""
Percent = Annotated[int, Meta(ge=1, le=100)]
Cidr = Annotated[
    str,
    Meta(
        pattern=r"^[0-9a-fA-F.:]{2,45}/\d{1,3}\Z",
        description="a range such as 10.0.0.0/16 or fd00:20::/64",
    ),
]
Address = Annotated[
    str, Meta(pattern=r"^[0-9a-fA-F.:]{2,45}\Z", description="an address such as 169.254.20.10")
]
IpFamily = Literal["IPv4", "IPv6"]


SURGE_PERCENT: Final = 25
"""How many pods more than wanted a rollout may have; they need connections, too."""


class Section(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A mapping in a stack's file."""


class Image(Section, frozen=True):
    """The image of all roles. A digest, once there is one, pins the bytes."""

    repository: Annotated[str, Meta(pattern=r"^[a-z0-9.-]+(:\d+)?(/[a-z0-9._-]+)+\Z")]
    tag: Annotated[
        str,
        Meta(
            pattern=r"^(?!latest\Z)[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?\Z",
            description="a tag of at most 63 characters that can be a label too, not latest",
        ),
    ]
    digest: Annotated[str, Meta(pattern=r"^(sha256:[0-9a-f]{64})?\Z")] = ""

    @property
    def reference(self) -> str:
        """Return what a container's `image` field takes."""
        suffix = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}:{self.tag}{suffix}"


class Amounts(Section, frozen=True):
    """An amount of each resource that a container uses."""

    cpu: Cpu
    memory: Bytes
    ephemeral_storage: Bytes = "64Mi"


class Resources(Section, frozen=True):
    """What a container is promised, and what it may use at most."""

    requests: Amounts
    limits: Amounts


class Autoscaling(Section, frozen=True):
    """Bounds and targets of the HorizontalPodAutoscaler; any metric above its target adds pods."""

    min_replicas: Annotated[int, Meta(ge=3, le=20)] = 3
    max_replicas: Annotated[int, Meta(ge=3, le=20)] = 20
    cpu_percent: Percent = 70
    memory_percent: Percent = 80
    active_payments: Annotated[int, Meta(ge=0, le=1_000)] = 20
    """Payment requests being handled by one pod, on average; 0 where no prometheus-adapter is."""


class Api(Section, frozen=True):
    """The pods that answer HTTP."""

    resources: Resources
    autoscaling: Autoscaling = Autoscaling()


class Worker(Section, frozen=True):
    """The pods that do the background work; two share it by SKIP LOCKED."""

    resources: Resources
    replicas: Annotated[int, Meta(ge=1, le=20)] = 2


class Peer(Section, frozen=True):
    """One side of a network flow: one of the three, and a port."""

    port: Port
    cidr: Cidr | None = None
    """A range of addresses."""
    namespace: Name | None = None
    """A namespace of this cluster."""
    internet: bool = False
    """Any public address: for what has no fixed ones."""


class Network(Section, frozen=True):
    """Who may talk to the pods, and to whom they may talk; everything else is denied."""

    ingress_namespace: Name
    monitoring_namespace: Name
    database: list[Peer]
    cache: list[Peer]
    services: dict[Name, list[Peer]]
    """The provider, the Library, the Game Catalog: name to peer. Any of them may be several, such
    as a primary and a replica, or a range of each family; one alone needs no list."""
    ip_families: tuple[IpFamily, ...] = ("IPv4",)
    """Of the cluster's pods. With both the Services get an address of each, where there is one."""
    dns_addresses: tuple[Address, ...] = ()
    """Name servers beside the cluster's DNS pods, such as NodeLocal DNSCache's on each node."""


class Database(Section, frozen=True):
    """What the PostgreSQL server of the stack allows; the pods' pools must fit into it."""

    max_connections: Annotated[int, Meta(ge=10, le=10_000)]
    reserved_connections: Annotated[int, Meta(ge=3, le=1_000)] = 10
    """Kept free for superusers, backups and people."""

    @property
    def available(self) -> int:
        return self.max_connections - self.reserved_connections


class Dependencies(Section, frozen=True):
    """Images of what a stack brings along because nobody else does; for `local` only."""

    postgresql: ImageName
    valkey: ImageName
    simulator: ImageName


class Secrets(Section, frozen=True):
    """Where the pods' secret values come from.

    `existing`: a Secret of this name that somebody else looks after. `stack`: encrypted values in
    the stack's file (`secretValues`). `placeholder`: no values at all; rendering only.
    """

    source: Literal["existing", "stack", "placeholder"]
    name: Name = "coinslot-secrets"
    revision: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    """Raise it after the values changed, to roll the pods."""


class Monitoring(Section, frozen=True):
    """How Prometheus finds the pods and the rules."""

    scrape_interval: Annotated[
        str,
        Meta(
            pattern=r"^([1-9]|[1-5][0-9]|60)s\Z",
            description="1s to 60s: rates over 5 minutes need some of them",
        ),
    ] = "15s"
    prometheus_labels: dict[LabelKey, LabelValue] = {}
    """Labels that the Prometheus object selects ServiceMonitors and rules by."""


class StackSections(Section, frozen=True):
    """What a stack's file holds."""

    target: Literal["render", "cluster"]
    """`render` writes manifests to a folder; `cluster` talks to the kubeconfig's cluster."""
    image: Image
    api: Api
    worker: Worker
    database: Database
    network: Network
    secrets: Secrets
    monitoring: Monitoring = Monitoring()
    settings: dict[str, str | int | float] = {}
    """Fields of service/settings.py that differ from their defaults, under their own names."""
    secret_values: dict[str, str] = {}
    """Values of the service's secret settings, for `secrets.source: stack` only; encrypted."""
    priority_class: Name | None = None
    dependencies: Dependencies | None = None


class StackConfig(StackSections, frozen=True, kw_only=True):
    """All settings of one stack: its file, and what follows from it, resolved once."""

    stack: Stack
    environment: dict[str, str]
    """The environment of the stack's pods without the secrets."""
    service: Settings
    """What the pods read from it; the secrets are placeholders."""
    render_directory: str = ""
    """Where the manifests go; empty unless the target is `render`."""

    @property
    def namespace(self) -> str:
        return labels.namespace_name(self.stack)

    @property
    def needed_secrets(self) -> tuple[str, ...]:
        """Return the secret variables without which this stack's pods do not start.

        With servers of its own also those by which these are set up and used.
        """
        own = service_settings.OWN_SERVERS if self.dependencies else ()
        return (*service_settings.required_secret_names(self.environment), *own)

    @property
    def missing_secrets(self) -> tuple[str, ...]:
        """Return the secret variables that a cluster needs and the stack's file does not hold."""
        if self.secrets.source != "stack":
            return ()
        return tuple(name for name in self.needed_secrets if not self.secret_values.get(name))
