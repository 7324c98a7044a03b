"""What the pods are configured with: versions of a ConfigMap and a Secret, and marks on the pods.

A version is named by its content and never changes. The one before stays on the cluster when a new
one comes: pods that run with it may start again in the middle of a rollout, and go back to it by
`kubectl rollout undo`. scripts/deploy/versions.py removes what no revision refers to any more.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from infra import labels
from infra.components.scope import Scope


@dataclass(frozen=True, slots=True)
class ConfigurationArgs:
    """`plain` and `secret` are environment variables.

    `secret` is None when the Secret `secret_name` is somebody else's; its values are encrypted in
    the state. `keep` leaves old versions on the cluster; a folder of manifests has no old pods.
    """

    scope: Scope
    plain: Mapping[str, str]
    secret_name: str
    secret_revision: int
    database_connections: int
    secret: Mapping[str, str] | None
    keep: bool


class Configuration(pulumi.ComponentResource):
    """The ConfigMap and the Secret of all roles."""

    name: str
    """The ConfigMap's name."""
    secret_name: str
    rollout_marks: dict[str, str]
    """Annotations for pod templates: they change when the configuration does."""

    def __init__(self, args: ConfigurationArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("coinslot:k8s:Configuration", "configuration", None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self, retain_on_delete=args.keep)
        self.name = self._config_map()
        self.secret_name = args.secret_name if args.secret is None else self._secret(args.secret)
        self.rollout_marks = {
            labels.CONFIG_CHECKSUM: labels.checksum(args.plain),
            labels.SECRET_REVISION: str(args.secret_revision),
        }
        self.register_outputs({})

    def _config_map(self) -> str:
        args = self._args
        name = labels.config_name(args.plain, str(args.database_connections))
        k8s.core.v1.ConfigMap(
            "config",
            metadata=self._args.scope.metadata(
                name,
                extra_labels={labels.KEPT: "config"},
                annotations={labels.DATABASE_CONNECTIONS: str(args.database_connections)},
            ),
            data=dict(args.plain),
            immutable=True,
            opts=self._child,
        )
        return name

    def _secret(self, values: Mapping[str, str]) -> str:
        name = labels.versioned(self._args.secret_name, values)
        k8s.core.v1.Secret(
            "secrets",
            metadata=self._args.scope.metadata(name, extra_labels={labels.KEPT: "secrets"}),
            type="Opaque",
            string_data={key: pulumi.Output.secret(text) for key, text in values.items()},
            immutable=True,
            opts=self._child,
        )
        return name
