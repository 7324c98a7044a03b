"""What every component of a stack shares."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi_kubernetes as k8s

from infra import labels


@dataclass(frozen=True, slots=True)
class Scope:
    """A namespace, and the labels of every object in it."""

    namespace: str
    labels: Mapping[str, str]

    def metadata(
        self,
        name: str,
        component: str | None = None,
        *,
        extra_labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> k8s.meta.v1.ObjectMetaArgs:
        """Return metadata with a fixed name, in the namespace, explicitly."""
        own = {labels.COMPONENT: component} if component else {}
        return k8s.meta.v1.ObjectMetaArgs(
            name=name,
            namespace=self.namespace,
            labels={**self.labels, **own, **(extra_labels or {})},
            annotations=dict(annotations) if annotations else None,
        )
