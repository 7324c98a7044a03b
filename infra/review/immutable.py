"""Which properties Kubernetes does not let an update change, so that the object is replaced."""

from typing import Any, Final

Path = tuple[str, ...]

EVERY_KIND: Final[tuple[Path, ...]] = (("metadata", "name"), ("metadata", "namespace"))

BY_KIND: Final[dict[tuple[str, str], tuple[Path, ...]]] = {
    ("apps", "DaemonSet"): (("spec", "selector"),),
    ("apps", "Deployment"): (("spec", "selector"),),
    ("apps", "StatefulSet"): (
        ("spec", "podManagementPolicy"),
        ("spec", "revisionHistoryLimit"),
        ("spec", "selector"),
        ("spec", "serviceName"),
        ("spec", "volumeClaimTemplates"),
    ),
    ("batch", "Job"): (
        ("spec", "completions"),
        ("spec", "parallelism"),
        ("spec", "selector"),
        ("spec", "template"),
    ),
    ("", "PersistentVolumeClaim"): (
        ("spec", "accessModes"),
        ("spec", "selector"),
        ("spec", "storageClassName"),
        ("spec", "volumeName"),
    ),
    ("", "Secret"): (("type",),),
    ("", "Service"): (("spec", "clusterIP"),),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): (("roleRef",),),
    ("rbac.authorization.k8s.io", "RoleBinding"): (("roleRef",),),
    ("storage.k8s.io", "StorageClass"): (("parameters",), ("provisioner",)),
}
"""By API group and kind, from the Kubernetes API's validation of updates."""

CONTENT: Final[dict[str, tuple[Path, ...]]] = {
    "ConfigMap": (("binaryData",), ("data",)),
    "Secret": (("data",), ("stringData",)),
}
"""Kinds whose content is replaced as a whole, unless the provider is told that it may change."""


def immutable_paths(obj: dict[str, Any], *, mutable_content: frozenset[str]) -> tuple[Path, ...]:
    """Return the paths below which a change means replacement.

    `mutable_content` names the kinds of CONTENT whose data may change in place.
    """
    group, _, _ = str(obj.get("apiVersion", "")).rpartition("/")
    kind = str(obj.get("kind", ""))
    paths = EVERY_KIND + BY_KIND.get((group, kind), ())
    if not group and kind in CONTENT and (obj.get("immutable") or kind not in mutable_content):
        paths += CONTENT[kind]
    return paths
