"""Remove versions of a stack's configuration that no revision of its pods refers to any more.

Each `up` leaves the ConfigMap and the Secret of before on the cluster, so that old pods find them
and `kubectl rollout undo` works (infra/components/configuration.py). Kubernetes keeps a few
revisions of a Deployment; a version that none of them names, and no Job or pod, is of no use.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from infra import labels
from scripts import programs

KINDS: Final = ("configmaps", "secrets")
OWNERS: Final = "deployments,replicasets,jobs,pods"

Object = Mapping[str, Any]


def prune(namespace: str) -> list[str]:
    """Remove what nobody refers to from the kubeconfig's cluster; return what was removed."""
    used = {name for owner in _listed(namespace, OWNERS) for name in referred(owner)}
    removed = []
    for kind in KINDS:
        for version in _listed(namespace, kind, f"--selector={labels.KEPT}"):
            name = version["metadata"]["name"]
            if (kind, name) not in used:
                _kubectl(namespace, "delete", kind, name, "--ignore-not-found", "--wait=false")
                removed.append(f"{kind}/{name}")
    return removed


def referred(owner: Object) -> Iterator[tuple[str, str]]:
    """Yield kind and name of the ConfigMaps and Secrets that an object's pods are configured by."""
    spec = owner["spec"]
    for container in spec.get("template", owner)["spec"]["containers"]:
        for source in container.get("envFrom") or ():
            yield from _named(source.get("configMapRef"), source.get("secretRef"))
        for variable in container.get("env") or ():
            source = variable.get("valueFrom") or {}
            yield from _named(source.get("configMapKeyRef"), source.get("secretKeyRef"))


def _named(config: Object | None, secret: Object | None) -> Iterator[tuple[str, str]]:
    for kind, reference in zip(KINDS, (config, secret), strict=True):
        if reference:
            yield kind, reference["name"]


def _listed(namespace: str, kinds: str, *options: str) -> list[Object]:
    found: list[Object] = json.loads(_kubectl(namespace, "get", kinds, "--output=json", *options))[
        "items"
    ]
    return found


def _kubectl(namespace: str, *arguments: str) -> str:
    program = programs.path_of("kubectl")
    return programs.run(program, f"--namespace={namespace}", *arguments, check=True)
