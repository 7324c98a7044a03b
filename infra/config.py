"""Every setting of a stack: typed, validated, frozen. The only reader of `pulumi.Config`.

The keys are those of Pulumi.<stack>.yaml under the project's name, in camelCase: `coinslot:api`
holds an `Api`. Wrong input raises StackConfigError, which names all problems at once, each with its
file, key and what is allowed.
"""

import json
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Literal, get_args, get_type_hints

import msgspec
import pulumi
from msgspec import Meta
from pulumi.runtime import config as pulumi_config

from infra import labels, service_settings
from infra.reading import expected, read_value, unknown_keys

Stack = Literal["local", "staging", "prod"]
STACKS: Final[tuple[Stack, ...]] = get_args(Stack)

RENDER_DIR_VARIABLE: Final = "COINSLOT_RENDER_DIR"
"""Environment variable with another parent folder for rendered stacks; for checks and tests."""
RENDER_DIR: Final = "rendered"
"""Relative, so that a clone in another folder is no change. The engine runs plugins in the
program's folder, which is infra/."""

Quantity = Annotated[
    str,
    Meta(
        pattern=r"^([1-9][0-9]*)(m|Ki|Mi|Gi)?$",
        description="a Kubernetes quantity such as 250m, 2, 512Mi",
    ),
]
Name = Annotated[
    str, Meta(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", description="a Kubernetes name")
]
Port = Annotated[int, Meta(ge=1, le=65_535)]
Percent = Annotated[int, Meta(ge=1, le=100)]
Cidr = Annotated[
    str,
    Meta(
        pattern=r"^\d{1,3}(\.\d{1,3}){3}/\d{1,2}$", description="an IPv4 range such as 10.0.0.0/16"
    ),
]


class Section(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A mapping in a stack's file."""


class Image(Section, frozen=True):
    """The image of all roles. A digest, once there is one, pins the bytes."""

    repository: Annotated[str, Meta(pattern=r"^[a-z0-9.-]+(:\d+)?(/[a-z0-9._-]+)+$")]
    tag: Annotated[
        str,
        Meta(
            pattern=r"^(?!latest$)[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
            description="a tag of at most 63 characters, not latest",
        ),
    ]
    digest: Annotated[str, Meta(pattern=r"^(sha256:[0-9a-f]{64})?$")] = ""

    @property
    def reference(self) -> str:
        """Return what a container's `image` field takes."""
        suffix = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}:{self.tag}{suffix}"


class Amounts(Section, frozen=True):
    """An amount of each resource that a container uses."""

    cpu: Quantity
    memory: Quantity
    ephemeral_storage: Quantity = "64Mi"


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
    active_payments: Annotated[int, Meta(ge=1, le=1_000)] = 20
    """Payment requests being handled by one pod, on average."""


class Api(Section, frozen=True):
    """The pods that answer HTTP."""

    resources: Resources
    autoscaling: Autoscaling = Autoscaling()


class Worker(Section, frozen=True):
    """The pods that do the background work; two share it by SKIP LOCKED."""

    resources: Resources
    replicas: Annotated[int, Meta(ge=1, le=20)] = 2


class Peer(Section, frozen=True):
    """One side of a network flow: a range of addresses, or a namespace of this cluster."""

    port: Port
    cidr: Cidr | None = None
    namespace: Name | None = None


class Network(Section, frozen=True):
    """Who may talk to the pods, and to whom they may talk; everything else is denied."""

    ingress_namespace: Name
    monitoring_namespace: Name
    database: Peer
    cache: Peer
    services: dict[str, Peer]
    """The provider, the Library, the Game Catalog: name to peer."""


class Database(Section, frozen=True):
    """What the PostgreSQL server of the stack allows; the pods' pools must fit into it."""

    max_connections: Annotated[int, Meta(ge=10, le=10_000)]
    reserved_connections: Annotated[int, Meta(ge=3, le=1_000)] = 10
    """Kept free for superusers, backups and people."""

    @property
    def available(self) -> int:
        """Return how many connections all pods together may use."""
        return self.max_connections - self.reserved_connections


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
        str, Meta(pattern=r"^[1-9][0-9]*s$", description="seconds such as 15s")
    ] = "15s"
    prometheus_labels: dict[str, str] = {}
    """Labels that the Prometheus object selects ServiceMonitors and rules by."""


class StackConfig(Section, frozen=True):
    """All settings of one stack."""

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

    stack: Stack = "local"
    render_directory: str = ""
    """Where the manifests go; empty unless the target is `render`."""

    @property
    def namespace(self) -> str:
        """Return the namespace that holds the stack."""
        return labels.namespace_name(self.stack)

    @property
    def missing_secrets(self) -> tuple[str, ...]:
        """Return the secret variables that a cluster needs and the stack's file does not hold."""
        if self.secrets.source != "stack":
            return ()
        names = service_settings.required_secret_names()
        return tuple(name for name in names if name not in self.secret_values)


OWN_FIELDS: Final = frozenset({"stack", "render_directory"})
"""Fields that follow from where the program runs, and are no keys of a file."""


class StackConfigError(pulumi.RunError):
    """A stack's file is wrong; the message is all that its author needs. The engine prints it."""


def from_pulumi() -> StackConfig:
    """Return the settings of the stack that the engine runs; raise StackConfigError."""
    prefix = f"{labels.PROJECT}:"
    given: Mapping[str, str] = pulumi_config.get_config_env()
    raw = {key[len(prefix) :]: value for key, value in given.items() if key.startswith(prefix)}
    secret = {key[len(prefix) :] for key in pulumi_config.get_config_secret_keys_env()}
    return load(pulumi.get_stack(), raw, secret, os.environ)


def load(
    stack: str,
    raw: Mapping[str, str],
    secret_keys: Collection[str] = (),
    environ: Mapping[str, str] | None = None,
) -> StackConfig:
    """Return the settings of `stack` from the texts that the engine hands over.

    A value that is a mapping comes as JSON. `secret_keys` are the keys that are encrypted in the
    file. Raises StackConfigError.
    """
    if stack not in STACKS:
        raise StackConfigError(f"there is no stack {stack!r}; stacks: {', '.join(STACKS)}")
    problems: list[str] = []
    values = _read(raw, problems)
    if not problems:
        parent = (environ or {}).get(RENDER_DIR_VARIABLE) or RENDER_DIR
        if values["target"] == "render":
            values["render_directory"] = str(PurePosixPath(parent) / stack)
        config = StackConfig(**values, stack=stack)
        problems += _across(config, secret_keys)
        if not problems:
            return config
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    raise StackConfigError(f"Pulumi.{stack}.yaml has {count}:\n  " + "\n  ".join(problems))


def _read(raw: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    prefix = f"{labels.PROJECT}:"
    hints = get_type_hints(StackConfig, include_extras=True)
    fields = [f for f in msgspec.structs.fields(StackConfig) if f.name not in OWN_FIELDS]
    problems += unknown_keys(raw, [field.encode_name for field in fields], prefix)
    values: dict[str, Any] = {}
    for field in fields:
        key, kind = field.encode_name, hints[field.name]
        if key in raw:
            values[field.name] = read_value(kind, _parsed(raw[key]), prefix + key, problems)
        elif field.required:
            problems.append(f"{prefix}{key} is missing; expected {expected(kind)}")
    return values


def _parsed(text: str) -> Any:
    """Return a mapping from its JSON; any other value is a text."""
    return json.loads(text) if text.startswith(("{", "[")) else text


def _across(config: StackConfig, secret_keys: Collection[str]) -> Iterator[str]:
    """Yield what is wrong with settings that are right one by one."""
    scaling = config.api.autoscaling
    if scaling.min_replicas > scaling.max_replicas:
        yield (
            f"coinslot:api.autoscaling.minReplicas is {scaling.min_replicas}, above maxReplicas "
            f"{scaling.max_replicas}"
        )
    for where, peer in _peers(config.network):
        if (peer.cidr is None) == (peer.namespace is None):
            yield f"{where} needs a cidr or a namespace, and not both"
    yield from _secrets(config, secret_keys)
    yield from service_settings.problems(
        config.stack, config.image.tag, config.settings, "coinslot:settings"
    )


def _peers(network: Network) -> Iterator[tuple[str, Peer]]:
    yield "coinslot:network.database", network.database
    yield "coinslot:network.cache", network.cache
    for name, peer in network.services.items():
        yield f"coinslot:network.services.{name}", peer


def _secrets(config: StackConfig, secret_keys: Collection[str]) -> Iterator[str]:
    source, given = config.secrets.source, config.secret_values
    if source == "placeholder" and config.target == "cluster":
        yield (
            "coinslot:secrets.source is placeholder, which no pod can run with; with "
            "coinslot:target: cluster use existing or stack"
        )
    if given and source != "stack":
        yield f"coinslot:secretValues needs coinslot:secrets.source: stack, and it is {source}"
    if given and "secretValues" not in secret_keys:
        yield (
            "coinslot:secretValues is in plain text; set each value by `pulumi config set "
            f"--secret --path 'coinslot:secretValues.NAME' -s {config.stack}`"
        )
    names = service_settings.secret_names()
    yield from unknown_keys(given, names, "coinslot:secretValues.")
    if config.missing_secrets and config.target == "cluster":
        yield f"coinslot:secretValues lacks {', '.join(config.missing_secrets)}"
