"""Remove versions of a stack's configuration that no revision of its pods refers to any more.

Each `up` leaves the ConfigMap and the Secret of before on the cluster, so that old pods find them
and `kubectl rollout undo` works (infra/components/configuration.py). Kubernetes keeps a few
revisions of a Deployment; a version that none of them names, and no Job or pod, is of no use.
"""

import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final

from infra import labels
from infra.offline_provider import kubeconfig, settings
from infra.offline_provider.cluster.api import NOT_FOUND, Api, ApiError, UnreachableError
from infra.offline_provider.settings import ProviderSettingsError

KINDS: Final = ("configmaps", "secrets")
OWNERS: Final = (
    "/apis/apps/v1/namespaces/{}/deployments",
    "/apis/apps/v1/namespaces/{}/replicasets",
    "/apis/batch/v1/namespaces/{}/jobs",
    "/api/v1/namespaces/{}/pods",
)
FAILURES: Final = (ApiError, UnreachableError, ProviderSettingsError)

Object = Mapping[str, Any]


def prune(namespace: str) -> list[str]:
    """Remove what nobody refers to from the kubeconfig's cluster; return what was removed.

    Raises one of FAILURES.
    """
    api = Api(kubeconfig.find(settings.from_arguments({})), threading.Event())
    used = {
        name
        for path in OWNERS
        for owner in api.get(path.format(namespace))["items"]
        for name in referred(owner)
    }
    removed = []
    for kind in KINDS:
        path = f"/api/v1/namespaces/{namespace}/{kind}"
        for version in api.get(path, labelSelector=labels.KEPT)["items"]:
            name = version["metadata"]["name"]
            if (kind, name) not in used:
                _delete(api, f"{path}/{name}")
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


def _delete(api: Api, path: str) -> None:
    try:
        api.delete(path, "Background")
    except ApiError as error:
        if error.code != NOT_FOUND:
            raise
