"""A long-running role: Deployment, ServiceAccount, Service, disruption budget, autoscaler."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
import pulumi_kubernetes as k8s

from infra import labels
from infra.components import pods
from infra.components.scope import Scope
from infra.sections import SURGE_PERCENT, Autoscaling, IpFamily, Resources
from service.metric_catalog import ACTIVE_PAYMENTS

PRE_STOP_S: Final = 5
"""Requests still arrive for a moment after a pod got SIGTERM: endpoints take that long."""
EXIT_MARGIN_S: Final = 5
"""For closing pools after the drain, before the kubelet kills."""
MIN_READY_S: Final = 5
"""A new pod that dies right after its first readiness must not count."""
PROGRESS_DEADLINE_S: Final = 300
"""A rollout that has not moved for five minutes has failed."""
REVISIONS: Final = 5
SCALE_DOWN_WINDOW_S: Final = 300
"""Load swings within minutes; pods that go too early come back cold."""
MIN_AVAILABLE: Final = 2
"""What a node drain leaves of the API; below the autoscaler's minimum, or no node could drain."""


@dataclass(frozen=True, slots=True)
class WorkloadArgs:
    """`replicas` are how many pods there are, or under `scaling` how many there are to begin with.

    From then on they are the autoscaler's. None leaves the beginning to it as well: a manifest that
    is applied again would take its pods away.
    """

    scope: Scope
    role: str
    pod: pods.PodArgs
    resources: Resources
    ip_families: Sequence[IpFamily]
    drain_s: float
    """How long the service waits for what it has begun when it gets SIGTERM."""
    scaling: Autoscaling | None = None
    replicas: int | None = None


class Workload(pulumi.ComponentResource):
    """One role of the image, running all the time."""

    service_name: str

    def __init__(self, args: WorkloadArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("coinslot:k8s:Workload", args.role, None, opts)
        self._args = args
        self._object_name = labels.resource_name(args.role)
        self._child = pulumi.ResourceOptions(parent=self)
        self.service_name = self._object_name
        account = service_account(args.scope, args.role, self._child)
        deployment = self._deployment(account)
        # Alone a family stays what the cluster gives by itself.
        families = list(args.ip_families) if len(args.ip_families) > 1 else None
        service(
            args.scope,
            args.role,
            {name: labels.SERVICE_PORTS[name] for name in labels.PORTS[args.role]},
            self._child,
            ip_families=families,
            ip_family_policy="PreferDualStack" if families else None,
        )
        self._disruption_budget()
        if args.scaling:
            self._autoscaler(args.scaling, deployment)
        self.register_outputs({"service": self.service_name})

    def _deployment(self, account: k8s.core.v1.ServiceAccount) -> k8s.apps.v1.Deployment:
        args = self._args
        role = pods.RoleArgs(
            role=args.role,
            resources=args.resources,
            pre_stop_s=PRE_STOP_S,
            grace_s=grace_s(args.drain_s),
        )
        return k8s.apps.v1.Deployment(
            args.role,
            metadata=args.scope.metadata(self._object_name, args.role),
            spec=k8s.apps.v1.DeploymentSpecArgs(
                replicas=args.replicas,
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=labels.selector(args.role)),
                strategy=k8s.apps.v1.DeploymentStrategyArgs(
                    type="RollingUpdate",
                    rolling_update=k8s.apps.v1.RollingUpdateDeploymentArgs(
                        max_unavailable=0, max_surge=f"{SURGE_PERCENT}%"
                    ),
                ),
                min_ready_seconds=MIN_READY_S,
                progress_deadline_seconds=PROGRESS_DEADLINE_S,
                revision_history_limit=REVISIONS,
                template=pods.template(args.pod, role, args.scope.labels),
            ),
            opts=pulumi.ResourceOptions.merge(
                self._child,
                pulumi.ResourceOptions(
                    depends_on=[account], ignore_changes=["spec.replicas"] if args.scaling else None
                ),
            ),
        )

    def _disruption_budget(self) -> None:
        args = self._args
        scaled = args.scaling is not None
        k8s.policy.v1.PodDisruptionBudget(
            args.role,
            metadata=args.scope.metadata(self._object_name, args.role),
            spec=k8s.policy.v1.PodDisruptionBudgetSpecArgs(
                min_available=MIN_AVAILABLE if scaled else None,
                max_unavailable=None if scaled else 1,
                # A pod that is broken anyway must not keep a node from being drained.
                unhealthy_pod_eviction_policy="AlwaysAllow",
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=labels.selector(args.role)),
            ),
            opts=self._child,
        )

    def _autoscaler(self, scaling: Autoscaling, target: k8s.apps.v1.Deployment) -> None:
        args = self._args
        k8s.autoscaling.v2.HorizontalPodAutoscaler(
            args.role,
            metadata=args.scope.metadata(self._object_name, args.role),
            spec=k8s.autoscaling.v2.HorizontalPodAutoscalerSpecArgs(
                scale_target_ref=k8s.autoscaling.v2.CrossVersionObjectReferenceArgs(
                    api_version="apps/v1", kind="Deployment", name=self._object_name
                ),
                min_replicas=scaling.min_replicas,
                max_replicas=scaling.max_replicas,
                metrics=[
                    _utilization("cpu", scaling.cpu_percent),
                    _utilization("memory", scaling.memory_percent),
                    *_per_pod(ACTIVE_PAYMENTS.name, scaling.active_payments),
                ],
                behavior=k8s.autoscaling.v2.HorizontalPodAutoscalerBehaviorArgs(
                    scale_down=k8s.autoscaling.v2.HPAScalingRulesArgs(
                        stabilization_window_seconds=SCALE_DOWN_WINDOW_S
                    )
                ),
            ),
            opts=pulumi.ResourceOptions.merge(
                self._child, pulumi.ResourceOptions(depends_on=[target])
            ),
        )


def grace_s(drain_s: float) -> int:
    """Return the seconds between SIGTERM's preparation and SIGKILL: hook, drain, exit."""
    return PRE_STOP_S + math.ceil(drain_s) + EXIT_MARGIN_S


def service(
    scope: Scope,
    component: str,
    ports: Mapping[str, int],
    opts: pulumi.ResourceOptions,
    **spec: Any,
) -> None:
    """Give a component's pods an address; each port leads to theirs of the same name."""
    k8s.core.v1.Service(
        component,
        metadata=scope.metadata(labels.resource_name(component), component),
        spec=k8s.core.v1.ServiceSpecArgs(
            type="ClusterIP",
            selector=labels.selector(component),
            ports=[
                k8s.core.v1.ServicePortArgs(name=name, port=port, target_port=name, protocol="TCP")
                for name, port in ports.items()
            ],
            **spec,
        ),
        opts=opts,
    )


def service_account(
    scope: Scope, role: str, opts: pulumi.ResourceOptions
) -> k8s.core.v1.ServiceAccount:
    """Return an account without token: the service never talks to the Kubernetes API."""
    return k8s.core.v1.ServiceAccount(
        role,
        metadata=scope.metadata(labels.resource_name(role), role),
        automount_service_account_token=False,
        opts=opts,
    )


def _utilization(resource: str, percent: int) -> k8s.autoscaling.v2.MetricSpecArgs:
    return k8s.autoscaling.v2.MetricSpecArgs(
        type="Resource",
        resource=k8s.autoscaling.v2.ResourceMetricSourceArgs(
            name=resource,
            target=k8s.autoscaling.v2.MetricTargetArgs(
                type="Utilization", average_utilization=percent
            ),
        ),
    )


def _per_pod(metric: str, average: int) -> Iterator[k8s.autoscaling.v2.MetricSpecArgs]:
    """Yield the metric, unless nobody serves it: a missing one keeps all pods that there are."""
    if average:
        yield k8s.autoscaling.v2.MetricSpecArgs(
            type="Pods",
            pods=k8s.autoscaling.v2.PodsMetricSourceArgs(
                metric=k8s.autoscaling.v2.MetricIdentifierArgs(name=metric),
                target=k8s.autoscaling.v2.MetricTargetArgs(
                    type="AverageValue", average_value=str(average)
                ),
            ),
        )
