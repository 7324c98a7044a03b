"""Names, labels and annotations of the Kubernetes objects, typed once."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Final

from service import addresses

PROJECT: Final = "coinslot"

API: Final = "api"
WORKER: Final = "worker"
MIGRATE: Final = "migrate"
"""Roles of the one image: arguments of `python -m service`, and the components' names."""

MIGRATION_CONNECTIONS: Final = 2
"""One works, one looks who is in its way."""

POSTGRESQL: Final = "postgresql"
VALKEY: Final = "valkey"
SIMULATOR: Final = "simulator"
"""What the stack `local` brings along; the names of the components, their ports and Services."""
POSTGRESQL_PORT: Final = 5432
VALKEY_PORT: Final = 6379
SIMULATOR_PORT: Final = 8090

HTTP_PORT_NAME: Final = "http"
HTTP_PORT: Final = 8080
SERVICE_PORT: Final = 80
OPS_PORT_NAME: Final = "ops"
OPS_PORT: Final = 9464
"""The operations port: probes, and the monitoring namespace alone."""
PORTS: Final[Mapping[str, Mapping[str, int]]] = {
    API: {HTTP_PORT_NAME: HTTP_PORT, OPS_PORT_NAME: OPS_PORT},
    WORKER: {OPS_PORT_NAME: OPS_PORT},
    MIGRATE: {},
}
"""What a role listens on, by name."""
SERVICE_PORTS: Final[Mapping[str, int]] = {HTTP_PORT_NAME: SERVICE_PORT, OPS_PORT_NAME: OPS_PORT}
"""Where a Service has the ports of these names."""

NAME: Final = "app.kubernetes.io/name"
COMPONENT: Final = "app.kubernetes.io/component"
INSTANCE: Final = "app.kubernetes.io/instance"
VERSION: Final = "app.kubernetes.io/version"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"

NOT_PUBLIC: Final = tuple(map(str, addresses.NOT_PUBLIC_V4))
"""What is no internet: the cluster, its neighbours, and the cloud's own metadata server."""
INTERNET: Final[Mapping[str, tuple[str, Sequence[str]]]] = {
    "IPv4": ("0.0.0.0/0", NOT_PUBLIC),
    "IPv6": (str(addresses.EVERYWHERE_V6), tuple(map(str, addresses.NOT_PUBLIC_V6))),
}
"""By family: a range, and what of it is no internet."""
NAME_SERVERS: Final = "coinslot.dev/name-servers"
"""On the NetworkPolicy for DNS: the addresses beside the cluster's DNS pods that are declared."""

NAMESPACE_NAME: Final = "kubernetes.io/metadata.name"
"""The API server puts this label on every namespace."""
HOSTNAME: Final = "kubernetes.io/hostname"
ZONE: Final = "topology.kubernetes.io/zone"
POD_TEMPLATE_HASH: Final = "pod-template-hash"
POD_SECURITY: Final = "pod-security.kubernetes.io"

CONFIG_CHECKSUM: Final = "coinslot.dev/config-checksum"
"""A hash of the ConfigMap's data: another configuration rolls the pods."""
SECRET_REVISION: Final = "coinslot.dev/secret-revision"  # noqa: S105  an annotation's name
"""Raised by hand after a Secret's values changed: it rolls the pods."""

DATABASE_CONNECTIONS: Final = "coinslot.dev/database-connections"
"""On the ConfigMap: how many connections the database has for all pods together."""

DASHBOARD: Final = "grafana_dashboard"
"""Grafana's sidecar loads the ConfigMaps that have this label."""

ADAPTER_RULES: Final = "coinslot.dev/prometheus-adapter-rules"
"""On the ConfigMap whose rules prometheus-adapter is to be given, under ADAPTER_FILE."""
ADAPTER_FILE: Final = "config.yaml"

PLACEHOLDER: Final = "placeholder-filled-in-on-a-cluster"
"""What stands in a rendered Secret; long enough for any check of a value's length."""


VERSION_DIGITS: Final = 8
"""Of a hash in a name: two versions that are alive together differ by chance once in 4e9."""
KEPT: Final = "coinslot.dev/kept-for-old-pods"
"""On a version of the configuration, which stays for as long as a revision of pods names it."""
REPLACE_UNREADY: Final = "pulumi.com/replaceUnready"


def resource_name(component: str) -> str:
    """Return the name of a component's objects, such as `coinslot-api`."""
    return f"{PROJECT}-{component}"


def namespace_name(stack: str) -> str:
    return f"{PROJECT}-{stack}"


def selector(component: str) -> dict[str, str]:
    """Return the labels that select a component's pods; they never change."""
    return {NAME: PROJECT, COMPONENT: component}


def common(stack: str) -> dict[str, str]:
    return {NAME: PROJECT, INSTANCE: namespace_name(stack), MANAGED_BY: "pulumi"}


def versioned(name: str, values: Mapping[str, str]) -> str:
    """Return the name of an object that holds these values and never others."""
    return f"{name}-{checksum(values)[:VERSION_DIGITS]}"


def config_name(values: Mapping[str, str], database_connections: str) -> str:
    return versioned(
        resource_name("config"), {**values, DATABASE_CONNECTIONS: database_connections}
    )


def checksum(values: Mapping[str, str]) -> str:
    """Return what CONFIG_CHECKSUM holds: a short hash of the values, whatever their order."""
    text = json.dumps(dict(values), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
