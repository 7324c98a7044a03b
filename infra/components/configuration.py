"""What the pods are configured with: a ConfigMap, a Secret, and the marks that roll the pods."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from infra import labels
from infra.components.scope import Scope


@dataclass(frozen=True, slots=True)
class ConfigurationArgs:
    """`plain` and `secret` are environment variables.

    `secret` is None when the Secret `secret_name` is somebody else's; its values are outputs, for
    they are encrypted in the state.
    """

    scope: Scope
    plain: Mapping[str, str]
    secret_name: str
    secret_revision: int
    database_connections: int
    secret: Mapping[str, pulumi.Input[str]] | None


class Configuration(pulumi.ComponentResource):
    """The ConfigMap and the Secret of all roles."""

    name: str
    """The ConfigMap's name."""
    rollout_marks: dict[str, str]
    """Annotations for pod templates: they change when the configuration does."""

    def __init__(self, args: ConfigurationArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("coinslot:k8s:Configuration", "configuration", None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.name = labels.resource_name("config")
        self.rollout_marks = {
            labels.CONFIG_CHECKSUM: labels.checksum(args.plain),
            labels.SECRET_REVISION: str(args.secret_revision),
        }
        k8s.core.v1.ConfigMap(
            "config",
            metadata=args.scope.metadata(
                self.name,
                annotations={labels.DATABASE_CONNECTIONS: str(args.database_connections)},
            ),
            data=dict(args.plain),
            opts=child,
        )
        if args.secret is not None:
            k8s.core.v1.Secret(
                "secrets",
                metadata=args.scope.metadata(args.secret_name),
                type="Opaque",
                string_data=dict(args.secret),
                opts=child,
            )
        self.register_outputs({})
