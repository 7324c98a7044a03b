"""The pod that all roles share: one image, locked down, configured by ConfigMap and Secret.

It meets the Pod Security Standard "restricted" and adds a read-only root filesystem.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi_kubernetes as k8s

from infra import labels
from infra.sections import Amounts, Resources

UID: Final = 10_001
"""The user and group that the image is built for; it has no account on any node."""
USER: Final[Mapping[str, Any]] = {
    "run_as_non_root": True,
    "run_as_user": UID,
    "run_as_group": UID,
    "seccomp_profile": k8s.core.v1.SeccompProfileArgs(type="RuntimeDefault"),
}
NONE: Final[Mapping[str, str]] = {}
TMP: Final = "tmp"
TMP_FOLDER: Final = {TMP: "/tmp"}  # noqa: S108  a pod's own
TMP_BYTES: Final = "16Mi"
"""The service writes no files; this is for what a library may spool."""

core = k8s.core.v1


@dataclass(frozen=True, slots=True)
class PodArgs:
    """What all roles of a stack have in common."""

    image: str
    config_map: str
    secret: str
    secret_variables: Mapping[str, bool]
    """Environment variables from the Secret, and whether the pod may start without."""
    rollout_marks: Mapping[str, str]
    version: str
    priority_class: str | None


@dataclass(frozen=True, slots=True)
class RoleArgs:
    """What is particular to one role; probes and hooks only where a role listens."""

    role: str
    resources: Resources
    pre_stop_s: int | None = None
    grace_s: int = 30
    spread: bool = True
    restart_policy: str | None = None


def template(
    pod: PodArgs, role: RoleArgs, common: Mapping[str, str]
) -> k8s.core.v1.PodTemplateSpecArgs:
    selector = labels.selector(role.role)
    return hardened(
        role.role,
        {**common, **selector, labels.VERSION: pod.version},
        _container(pod, role),
        sizes={TMP: TMP_BYTES},
        annotations=pod.rollout_marks,
        restart_policy=role.restart_policy,
        priority_class_name=pod.priority_class,
        termination_grace_period_seconds=role.grace_s,
        affinity=_apart(selector) if role.spread else None,
        topology_spread_constraints=_spread(selector) if role.spread else None,
    )


def hardened(
    component: str,
    pod_labels: Mapping[str, str],
    runs: k8s.core.v1.ContainerArgs,
    *,
    sizes: Mapping[str, str],
    config_maps: Mapping[str, str] = NONE,
    annotations: Mapping[str, str] | None = None,
    fs_group_change: str | None = None,
    **spec: Any,
) -> k8s.core.v1.PodTemplateSpecArgs:
    """Return the template of a pod with one container.

    Its volumes are folders of these sizes, and ConfigMaps.
    """
    return core.PodTemplateSpecArgs(
        metadata=k8s.meta.v1.ObjectMetaArgs(
            labels=dict(pod_labels), annotations=dict(annotations or {}) or None
        ),
        spec=core.PodSpecArgs(
            service_account_name=labels.resource_name(component),
            automount_service_account_token=False,
            enable_service_links=False,
            security_context=core.PodSecurityContextArgs(
                fs_group=UID, fs_group_change_policy=fs_group_change, **USER
            ),
            containers=[runs],
            volumes=[
                core.VolumeArgs(name=name, empty_dir=core.EmptyDirVolumeSourceArgs(size_limit=size))
                for name, size in sizes.items()
            ]
            + [
                core.VolumeArgs(name=name, config_map=core.ConfigMapVolumeSourceArgs(name=source))
                for name, source in config_maps.items()
            ],
            **spec,
        ),
    )


def container(
    component: str,
    image: str,
    resources: Resources,
    folders: Mapping[str, str],
    ports: Mapping[str, int],
    *,
    read_only: Mapping[str, str] = NONE,
    **fields: Any,
) -> k8s.core.v1.ContainerArgs:
    """Return a container that may write to these folders and nowhere else."""
    return core.ContainerArgs(
        name=component,
        image=image,
        image_pull_policy="IfNotPresent",
        ports=[core.ContainerPortArgs(name=name, container_port=at) for name, at in ports.items()]
        or None,
        resources=core.ResourceRequirementsArgs(
            requests=_amounts(resources.requests), limits=_amounts(resources.limits)
        ),
        security_context=core.SecurityContextArgs(
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            capabilities=core.CapabilitiesArgs(drop=["ALL"]),
            **USER,
        ),
        volume_mounts=[
            core.VolumeMountArgs(name=name, mount_path=path) for name, path in folders.items()
        ]
        + [
            core.VolumeMountArgs(name=name, mount_path=path, read_only=True)
            for name, path in read_only.items()
        ],
        **fields,
    )


def _container(pod: PodArgs, role: RoleArgs) -> k8s.core.v1.ContainerArgs:
    ports = labels.PORTS[role.role]
    return container(
        role.role,
        pod.image,
        role.resources,
        TMP_FOLDER,
        ports,
        args=[role.role],
        env_from=[
            core.EnvFromSourceArgs(config_map_ref=core.ConfigMapEnvSourceArgs(name=pod.config_map))
        ],
        env=[
            from_secret(name, pod.secret, name, optional=optional)
            for name, optional in pod.secret_variables.items()
        ],
        # The migrations take as long as they take; the worst start of a server is a cold node.
        startup_probe=_asks("startup", period_s=2, failures=30) if ports else None,
        readiness_probe=_asks("ready", period_s=5, failures=2) if ports else None,
        # Three failures: a restart heals little and costs much, so it comes late.
        liveness_probe=_asks("live", period_s=10, failures=3) if ports else None,
        lifecycle=_pre_stop(role.pre_stop_s) if role.pre_stop_s else None,
    )


def from_secret(
    variable: str, secret: str, key: str, *, optional: bool = False
) -> k8s.core.v1.EnvVarArgs:
    """Return a variable whose value is a key of a Secret."""
    return core.EnvVarArgs(
        name=variable,
        value_from=core.EnvVarSourceArgs(
            secret_key_ref=core.SecretKeySelectorArgs(
                name=secret, key=key, optional=optional or None
            )
        ),
    )


def _amounts(amounts: Amounts) -> dict[str, str]:
    return {
        "cpu": amounts.cpu,
        "memory": amounts.memory,
        "ephemeral-storage": amounts.ephemeral_storage,
    }


def _asks(kind: str, *, period_s: int, failures: int) -> k8s.core.v1.ProbeArgs:
    return probe(labels.OPS_PORT_NAME, f"/health/{kind}", period_s=period_s, failures=failures)


def probe(port: str, path: str | None, *, period_s: int, failures: int) -> k8s.core.v1.ProbeArgs:
    """Ask a path of a port, or without one whether the port answers."""
    return core.ProbeArgs(
        http_get=core.HTTPGetActionArgs(path=path, port=port) if path else None,
        tcp_socket=None if path else core.TCPSocketActionArgs(port=port),
        period_seconds=period_s,
        timeout_seconds=2,
        failure_threshold=failures,
    )


def _pre_stop(seconds: int) -> k8s.core.v1.LifecycleArgs:
    return core.LifecycleArgs(
        pre_stop=core.LifecycleHandlerArgs(sleep=core.SleepActionArgs(seconds=seconds))
    )


def _apart(selector: Mapping[str, str]) -> k8s.core.v1.AffinityArgs:
    """Prefer a node with fewer pods of this role and revision than others.

    A preference: on a cluster whose other nodes are full, pods double up instead of waiting. For
    nodes it is the stronger one, and works on nodes without a zone, which the scheduler leaves out
    of every preferred spread of a pod that is to be spread over zones, too. Each revision counts by
    itself, or a rollout would place new pods around those that they replace.
    """
    return core.AffinityArgs(
        pod_anti_affinity=core.PodAntiAffinityArgs(
            preferred_during_scheduling_ignored_during_execution=[
                core.WeightedPodAffinityTermArgs(
                    weight=100,
                    pod_affinity_term=core.PodAffinityTermArgs(
                        topology_key=labels.HOSTNAME,
                        label_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=dict(selector)),
                        match_label_keys=[labels.POD_TEMPLATE_HASH],
                    ),
                )
            ]
        )
    )


def _spread(selector: Mapping[str, str]) -> list[k8s.core.v1.TopologySpreadConstraintArgs]:
    """Prefer an even number of this revision's pods in each zone; a zone may be full or down."""
    return [
        core.TopologySpreadConstraintArgs(
            max_skew=1,
            topology_key=labels.ZONE,
            when_unsatisfiable="ScheduleAnyway",
            label_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=dict(selector)),
            match_label_keys=[labels.POD_TEMPLATE_HASH],
        )
    ]
