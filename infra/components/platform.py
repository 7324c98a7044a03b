"""A whole stack: the provider, the namespace, and every component in its order."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

import pulumi
import pulumi_kubernetes as k8s

from infra import labels, service_settings
from infra.coherence import database_parts
from infra.components.configuration import Configuration, ConfigurationArgs
from infra.components.local_dependencies import LOGINS, DependenciesArgs, LocalDependencies
from infra.components.migration import Migration, MigrationArgs
from infra.components.monitoring import Monitoring, MonitoringArgs
from infra.components.network import Network, NetworkArgs
from infra.components.pods import PodArgs
from infra.components.scope import Scope
from infra.components.workload import Workload, WorkloadArgs
from infra.sections import Dependencies, StackConfig
from service.metric_catalog import ACTIVE_PAYMENTS
from service.secret_use import ROLES, Role

PROGRAM_DIR: Final = PurePosixPath("infra")
"""Where relative folders start from, seen from the repository's root."""
POD_SECURITY_LEVEL: Final = "restricted"


@dataclass(frozen=True, slots=True)
class PlatformArgs:
    """`groups` are alert rules, `dashboards` documents by uid, `migrations` a folder of SQL."""

    config: StackConfig
    groups: Sequence[Mapping[str, Any]]
    dashboards: Mapping[str, str]
    migrations: Path


class Platform(pulumi.ComponentResource):
    """The payment service with all that it needs on a cluster."""

    outputs: dict[str, pulumi.Input[Any]]

    def __init__(self, args: PlatformArgs) -> None:
        config = args.config
        super().__init__("coinslot:k8s:Platform", labels.PROJECT, None, None)
        self._args = args
        self._config = config
        self._scope = Scope(config.namespace, labels.common(config.stack))
        self._provider_of_objects = self._kubernetes()
        namespace = self._namespace()
        configuration = self._configuration(namespace)
        Network(NetworkArgs(self._scope, config.network), self._after(namespace))
        self._monitoring(namespace)
        needed: list[pulumi.Resource] = [namespace, configuration]
        if config.dependencies:
            secret = configuration.secret_name
            needed.append(self._dependencies(config.dependencies, secret, needed))
        pods = {role: self._pod(role, configuration) for role in ROLES}
        migration = Migration(
            MigrationArgs(self._scope, pods[labels.MIGRATE], args.migrations),
            self._after(*needed),
        )
        api = self._servers(pods, [*needed, migration])
        rendering = config.target == "render"
        self.outputs = {
            "namespace": config.namespace,
            "image": config.image.reference,
            "migration": migration.job_name,
            "service": f"http://{api.service_name}.{config.namespace}.svc:{labels.SERVICE_PORT}",
            "dashboards": sorted(args.dashboards),
            "rendered": str(PROGRAM_DIR / config.render_directory) if rendering else None,
        }
        self.register_outputs(self.outputs)

    def _after(self, *needed: pulumi.Resource) -> pulumi.ResourceOptions:
        """Return the options of a part that waits for what it needs."""
        return pulumi.ResourceOptions(
            parent=self, providers=[self._provider_of_objects], depends_on=list(needed)
        )

    def _kubernetes(self) -> k8s.Provider:
        render = self._config.render_directory or None
        if render:
            # The SDK would copy it into the provider's settings, so the state would depend on the
            # machine, and the official provider refuses it beside a folder.
            os.environ.pop("KUBECONFIG", None)
        return k8s.Provider(
            "kubernetes",
            render_yaml_to_directory=render,
            # What is versioned is immutable by itself; a dashboard's map is changed in place.
            enable_config_map_mutable=True,
            enable_secret_mutable=True,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _namespace(self) -> k8s.core.v1.Namespace:
        levels = {
            f"{labels.POD_SECURITY}/{mode}": POD_SECURITY_LEVEL for mode in ("enforce", "warn")
        }
        return k8s.core.v1.Namespace(
            "namespace",
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=self._config.namespace, labels={**self._scope.labels, **levels}
            ),
            opts=self._after(),
        )

    def _configuration(self, namespace: k8s.core.v1.Namespace) -> Configuration:
        """Make this version of the configuration, or take it up again where it was kept."""
        secrets, keep = self._config.secrets, self._config.target == "cluster"
        return Configuration(
            ConfigurationArgs(
                scope=self._scope,
                plain=self._config.environment,
                secret_name=secrets.name,
                secret_revision=secrets.revision,
                database_connections=self._config.database.available,
                secret=self._secret(),
                keep=keep,
            ),
            self._after(namespace),
        )

    def _secret(self) -> dict[str, str] | None:
        """Return the Secret's values: none of ours, placeholders, or the stack's own."""
        config = self._config
        if config.secrets.source == "existing":
            return None
        if config.target == "render":
            # What the stack holds beyond its needs, too: a reviewer sees keys come and go.
            names = dict.fromkeys((*config.needed_secrets, *sorted(config.secret_values)))
            return dict.fromkeys(names, labels.PLACEHOLDER)
        return dict(config.secret_values)

    def _dependencies(
        self, images: Dependencies, secret: str, needed: Sequence[pulumi.Resource]
    ) -> LocalDependencies:
        api = f"http://{labels.resource_name(labels.API)}:{labels.SERVICE_PORT}"
        return LocalDependencies(
            DependenciesArgs(
                scope=self._scope,
                images=images,
                database=self._database(),
                secret=secret,
                webhook_url=f"{api}/v1/webhooks/simulator",
                needed_secrets=self._config.needed_secrets,
            ),
            self._after(*needed),
        )

    def _database(self) -> dict[str, pulumi.Input[str]]:
        """Return what the database is set up with: the parts of the service's own URLs."""
        config = self._config
        if config.target == "render":
            return dict.fromkeys(LOGINS, labels.PLACEHOLDER)
        owner, service = (
            database_parts(config.secret_values.get(name, ""))
            for name in ("MIGRATION_DATABASE_URL", "DATABASE_URL")
        )
        parts = (*owner.values(), service["user"], service["password"])
        return {
            variable: pulumi.Output.secret(text)
            for variable, text in zip(LOGINS, parts, strict=True)
        }

    def _pod(self, role: Role, configuration: Configuration) -> PodArgs:
        secrets = service_settings.secrets_of(role, self._config.environment)
        return PodArgs(
            image=self._config.image.reference,
            config_map=configuration.name,
            secret=configuration.secret_name,
            secret_variables={name: not needed for name, needed in secrets.items()},
            rollout_marks=configuration.rollout_marks,
            version=self._config.image.tag,
            priority_class=self._config.priority_class,
        )

    def _servers(self, pods: Mapping[Role, PodArgs], needed: Sequence[pulumi.Resource]) -> Workload:
        config = self._config
        worker = WorkloadArgs(
            scope=self._scope,
            role=labels.WORKER,
            pod=pods[labels.WORKER],
            resources=config.worker.resources,
            ip_families=config.network.ip_families,
            drain_s=config.service.shutdown_drain_s,
            replicas=config.worker.replicas,
        )
        api = replace(
            worker,
            role=labels.API,
            pod=pods[labels.API],
            resources=config.api.resources,
            replicas=None if config.target == "render" else config.api.autoscaling.min_replicas,
            scaling=config.api.autoscaling,
        )
        Workload(worker, self._after(*needed))
        return Workload(api, self._after(*needed))

    def _monitoring(self, namespace: k8s.core.v1.Namespace) -> None:
        monitoring = self._config.monitoring
        Monitoring(
            MonitoringArgs(
                scope=self._scope,
                scrape_interval=monitoring.scrape_interval,
                prometheus_labels=monitoring.prometheus_labels,
                groups=self._args.groups,
                dashboards=self._args.dashboards,
                scaled_by=[ACTIVE_PAYMENTS] if self._config.api.autoscaling.active_payments else [],
            ),
            self._after(namespace),
        )
