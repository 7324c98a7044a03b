"""Broken examples that kube-score or Pod Security admission sees, so that no rule of ours does."""

from tests.infra.stacks import API, BUDGET, WORKER, Break, container, context, drop, get, pod, spec

SCORED: dict[str, tuple[Break, str]] = {
    "a writable root": (
        lambda s: context(s).pop("readOnlyRootFilesystem"),
        "container-security-context-readonlyrootfilesystem",
    ),
    "no budget": (
        lambda s: drop(s, BUDGET, WORKER),
        "deployment-has-poddisruptionbudget",
    ),
    "replicas under an autoscaler": (
        lambda s: spec(s, "Deployment").update(replicas=3),
        "deployment-targeted-by-hpa-does-not-have-replicas-configured",
    ),
    "an autoscaler of nothing": (
        lambda s: drop(s, "Deployment", API),
        "horizontalpodautoscaler-has-target",
    ),
    "no limit of storage": (
        lambda s: container(s)["resources"]["limits"].pop("ephemeral-storage"),
        "container-ephemeral-storage-request-and-limit",
    ),
    "an image that moves": (
        lambda s: container(s, WORKER).update(image="ghcr.io/coinslot/coinslot:latest"),
        "container-image-tag",
    ),
    "pods on one node": (
        lambda s: pod(s).pop("affinity"),
        "deployment-has-host-podantiaffinity",
    ),
    "a Service of nobody": (
        lambda s: spec(s, "Service")["selector"].update(tier="gone"),
        "service-targets-pod",
    ),
    "a Deployment of other pods": (
        lambda s: spec(s, "Deployment")["selector"]["matchLabels"].update(a="b"),
        "deployment-pod-selector-labels-match-template-metadata-labels",
    ),
    "a beta API": (
        lambda s: get(s, BUDGET, API).update(apiVersion="policy/v1beta1"),
        "stable-version",
    ),
}
"""What is done to staging, and the check of kube-score that fails."""

RESTRICTED: dict[str, tuple[Break, str]] = {
    "the host's network": (
        lambda s: pod(s).update(hostNetwork=True),
        "host namespaces: hostNetwork=true",
    ),
    "a privileged container that runs first": (
        lambda s: pod(s).update(
            initContainers=[{**container(s), "securityContext": {"privileged": True}}]
        ),
        'privileged: container "api" must not set',
    ),
    "growing privileges": (
        lambda s: context(s).update(allowPrivilegeEscalation=True),
        'allowPrivilegeEscalation != false: container "api"',
    ),
    "a capability": (
        lambda s: context(s)["capabilities"].update(drop=["NET_RAW"]),
        'unrestricted capabilities: container "api" must set',
    ),
    "a capability that comes back": (
        lambda s: context(s)["capabilities"].update(add=["NET_ADMIN"]),
        'unrestricted capabilities: container "api" must not include "NET_ADMIN"',
    ),
    "a folder of the node": (
        lambda s: pod(s)["volumes"].append({"name": "h", "hostPath": {"path": "/"}}),
        'restricted volume types: volume "h" uses',
    ),
    "a port of the node": (
        lambda s: container(s)["ports"][0].update(hostPort=8080),
        'hostPort: container "api" uses hostPort 8080',
    ),
    "a pod that may be root": (
        lambda s: (context(s).pop("runAsUser"), pod(s)["securityContext"].update(runAsUser=0)),
        "runAsUser=0: pod must not set runAsUser=0",
    ),
    "unfiltered system calls": (
        lambda s: context(s).update(seccompProfile={"type": "Unconfined"}),
        'seccompProfile: container "api" must not set',
    ),
    "no AppArmor": (
        lambda s: context(s).update(appArmorProfile={"type": "Unconfined"}),
        'forbidden AppArmor profile: container "api" must not set',
    ),
    "no AppArmor, in the words of before": (
        lambda s: get(s, "Deployment", API)["spec"]["template"]["metadata"]["annotations"].update(
            {"container.apparmor.security.beta.kubernetes.io/api": "unconfined"}
        ),
        "forbidden AppArmor profile: annotation must not set",
    ),
    "a type of SELinux": (
        lambda s: context(s).update(seLinuxOptions={"type": "spc_t"}),
        'seLinuxOptions: container "api" set forbidden',
    ),
    "a setting of the kernel": (
        lambda s: pod(s)["securityContext"].update(
            sysctls=[{"name": "kernel.msgmax", "value": "1"}]
        ),
        "forbidden sysctls: kernel.msgmax",
    ),
    "a probe of another host": (
        lambda s: container(s)["livenessProbe"]["httpGet"].update(host="169.254.169.254"),
        'probe or lifecycle host: container "api" uses',
    ),
}
"""What is done to the API's pods, and what the level "restricted" says to it."""
