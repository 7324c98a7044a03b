"""Remove versions of a stack's configuration that no revision of its pods refers to any more.

Each `up` leaves the ConfigMap and the Secret of before on the cluster, so that old pods find them
and `kubectl rollout undo` works (infra/components/configuration.py). Kubernetes keeps a few
revisions of a Deployment; a version that none of them names, and no Job or pod, is of no use.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from infra import labels
from scripts.kubectl import Kubectl

KINDS: Final = ("configmaps", "secrets")
OWNERS: Final = "deployments,replicasets,jobs,pods"

Object = Mapping[str, Any]


def prune(namespace: str) -> list[str]:
    """Remove what nobody refers to from the kubeconfig's cluster; return what was removed."""
    kubectl = Kubectl(namespace=namespace)
    used = {name for owner in kubectl.items(OWNERS) for name in referred(owner)}
    removed = []
    for kind in KINDS:
        for version in kubectl.items(kind, f"--selector={labels.KEPT}"):
            name = version["metadata"]["name"]
            if (kind, name) not in used:
                kubectl("delete", kind, name, "--ignore-not-found", "--wait=false")
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
