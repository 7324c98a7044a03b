"""Rules about what a pod could do if somebody got into it.

The Pod Security Standard "restricted" (https://kubernetes.io/docs/concepts/security/), control by
control, and what it leaves open: a read-only root, no token, an account and a user of its own.
"""

import re
from collections.abc import Iterator
from typing import Final

from infra import labels
from infra.policy.objects import PROBES, Object, Pod, Stack, dig, title
from infra.policy.rules import Problem, rule

VOLUMES: Final = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
"""Kinds of volumes that the standard allows."""
SYSCTLS: Final = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}
"""Kernel settings that stay inside a pod."""
SELINUX_TYPES: Final = {
    "",
    "container_t",
    "container_init_t",
    "container_kvm_t",
    "container_engine_t",
}
FILTERED: Final = ("RuntimeDefault", "Localhost")
APPARMOR_ANNOTATION: Final = "container.apparmor.security.beta.kubernetes.io/"
"""How it was said before Kubernetes 1.30, and is still understood."""
LOGIN: Final = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
"""A URL's user and password."""
SECRET_WORDS: Final = ("PASSWORD", "SECRET", "TOKEN", "API_KEY", "PRIVATE_KEY", "CREDENTIAL")
PUBLIC_ENDINGS: Final = ("_URL", "_TTL_S", "_FILE")


def _containers(stack: Stack) -> Iterator[tuple[Pod, Object]]:
    for pod in stack.pods():
        for container in pod.containers:
            yield pod, container


def _context(pod: Pod, container: Object, field: str) -> object:
    """Return a field of the security context; the container's goes before the pod's."""
    for context in (container.get("securityContext", {}), pod.spec.get("securityContext", {})):
        if field in context:
            return context[field]
    return None


@rule("In the host's namespaces a pod sees other pods' traffic, processes and shared memory.")
def host_namespaces_apart(stack: Stack) -> Iterator[Problem]:
    """Refuse the host's network, processes and IPC."""
    for pod in stack.pods():
        for field in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.spec.get(field):
                yield pod.owner, f"sets {field}"


@rule("A privileged container is root on its node.")
def no_privileges(stack: Stack) -> Iterator[Problem]:
    """Refuse privileged containers, unmasked /proc and host processes."""
    for pod, container in _containers(stack):
        context = container.get("securityContext", {})
        if context.get("privileged"):
            yield pod.owner, "is privileged"
        if context.get("procMount", "Default") != "Default":
            yield pod.owner, "unmasks /proc"
        if (_context(pod, container, "windowsOptions") or {}).get("hostProcess"):  # type: ignore[attr-defined]
            yield pod.owner, "runs a process of the host"


@rule("A setuid program in the image would hand out more than the process began with.")
def privileges_fixed(stack: Stack) -> Iterator[Problem]:
    """Refuse processes that gain privileges."""
    for pod, container in _containers(stack):
        if container.get("securityContext", {}).get("allowPrivilegeEscalation") is not False:
            yield pod.owner, "lets privileges grow"


@rule("Capabilities are pieces of root; nothing here needs one.")
def capabilities_dropped(stack: Stack) -> Iterator[Problem]:
    """Drop all capabilities, and add none."""
    for pod, container in _containers(stack):
        capabilities = container.get("securityContext", {}).get("capabilities", {})
        if capabilities.get("drop") != ["ALL"] or capabilities.get("add"):
            yield pod.owner, "has capabilities left"


@rule("A folder of the node leads out of the container.")
def volumes_of_pods_only(stack: Stack) -> Iterator[Problem]:
    """Allow volumes that end with the pod or are claimed, and none of the node's."""
    for pod in stack.pods():
        for volume in pod.spec.get("volumes", ()):
            for kind in volume.keys() - {"name"} - VOLUMES:
                yield pod.owner, f"mounts a {kind}"


@rule("A port of the node goes round every NetworkPolicy, and only one pod of a node can have it.")
def host_ports_closed(stack: Stack) -> Iterator[Problem]:
    """Refuse ports of the node."""
    for pod, container in _containers(stack):
        for port in container.get("ports", ()):
            if port.get("hostPort"):
                yield pod.owner, f"takes port {port['hostPort']} of its node"


@rule("Root in a container is root on the node after one bug of the kernel.")
def user_is_not_root(stack: Stack) -> Iterator[Problem]:
    """Demand a user and a group by number, and neither of them root's."""
    for pod, container in _containers(stack):
        if _context(pod, container, "runAsNonRoot") is not True:
            yield pod.owner, "may run as root"
        for field in ("runAsUser", "runAsGroup"):
            if not _context(pod, container, field):
                yield pod.owner, f"may run as root: {field} is not given"


@rule("Most kernel bugs are reached by system calls that a service never makes.")
def system_calls_filtered(stack: Stack) -> Iterator[Problem]:
    """Demand the runtime's seccomp profile, and leave AppArmor and SELinux on."""
    for pod, container in _containers(stack):
        seccomp = _context(pod, container, "seccompProfile") or {}
        apparmor = _context(pod, container, "appArmorProfile") or {"type": "RuntimeDefault"}
        selinux = _context(pod, container, "seLinuxOptions") or {}
        if seccomp.get("type") not in FILTERED:  # type: ignore[attr-defined]
            yield pod.owner, "has its system calls unfiltered"
        marks = [v for key, v in pod.annotations.items() if key.startswith(APPARMOR_ANNOTATION)]
        if apparmor.get("type") not in FILTERED or "unconfined" in marks:  # type: ignore[attr-defined]
            yield pod.owner, "switches AppArmor off"
        if (
            selinux.get("type", "") not in SELINUX_TYPES  # type: ignore[attr-defined]
            or selinux.keys() & {"user", "role"}  # type: ignore[attr-defined]
        ):
            yield pod.owner, "chooses SELinux options of its own"


@rule("Other settings of the kernel reach every pod of the node.")
def kernel_settings_safe(stack: Stack) -> Iterator[Problem]:
    """Allow only the settings of the kernel that stay inside the pod."""
    for pod in stack.pods():
        for setting in pod.spec.get("securityContext", {}).get("sysctls", ()):
            if setting["name"] not in SYSCTLS:
                yield pod.owner, f"sets {setting['name']}"


@rule("With a host of its own, the kubelet could be made to call any address of the network.")
def probes_stay_home(stack: Stack) -> Iterator[Problem]:
    """Refuse probes and hooks that name a host."""
    for pod, container in _containers(stack):
        hooks = container.get("lifecycle", {})
        for handler in (*(container.get(name, {}) for name in PROBES), *hooks.values()):
            if any(handler.get(way, {}).get("host") for way in ("httpGet", "tcpSocket")):
                yield pod.owner, "sends the kubelet's probes elsewhere"


@rule("What can't be written can't be replaced by an intruder.")
def root_read_only(stack: Stack) -> Iterator[Problem]:
    """Demand a root filesystem that is read-only."""
    for pod, container in _containers(stack):
        if container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
            yield pod.owner, "has a writable root filesystem"


@rule("A token is a way into the Kubernetes API, and nothing here speaks to it.")
def no_token(stack: Stack) -> Iterator[Problem]:
    """Mount no token, neither by the pod nor by its account."""
    for pod in stack.pods():
        sources = _projected(pod)
        if pod.spec.get("automountServiceAccountToken") is not False or any(
            "serviceAccountToken" in source for source in sources
        ):
            yield pod.owner, "carries a token"
    for account in stack.of("ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield title(account), "hands out tokens"


def _projected(pod: Pod) -> list[Object]:
    """Return what the pod's projected volumes are made of."""
    volumes = pod.spec.get("volumes") or ()
    return [source for volume in volumes for source in dig(volume, "projected.sources") or ()]


@rule("Rights given to the default account, by anybody, would be the service's too.")
def own_account(stack: Stack) -> Iterator[Problem]:
    """Demand an account of its own for every pod."""
    for pod in stack.pods():
        if pod.spec.get("serviceAccountName") in (None, "default"):
            yield pod.owner, "uses the default account"


@rule("The accounts need no rights at all; a role would be the first step to more.")
def no_roles(stack: Stack) -> Iterator[Problem]:
    """Refuse roles and their bindings."""
    for obj in stack.of("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"):
        yield title(obj), "grants rights in the Kubernetes API"


@rule("The API server itself then refuses any pod that is less than restricted, also one by hand.")
def namespace_restricted(stack: Stack) -> Iterator[Problem]:
    """Enforce the Pod Security Standard "restricted" in the namespace."""
    for namespace in stack.of("Namespace"):
        said = namespace["metadata"].get("labels", {})
        level = said.get(f"{labels.POD_SECURITY}/enforce")
        if level != "restricted":
            yield title(namespace), f"enforces the pod security standard {level}"
        version = said.get(f"{labels.POD_SECURITY}/enforce-version")
        if version not in (None, "latest"):
            yield title(namespace), f"enforces the pod security standard as it was in {version}"


@rule("A manifest is read by everybody who may review it.")
def secrets_by_reference(stack: Stack) -> Iterator[Problem]:
    """Take what sounds like a secret from a Secret, never from a plain value or a ConfigMap."""
    for pod, container in _containers(stack):
        for variable in container.get("env", ()):
            if _is_secret(variable["name"], variable.get("value")):
                yield pod.owner, f"has {variable['name']} in plain text"
    for config in stack.of("ConfigMap"):
        for name, value in config.get("data", {}).items():
            if _is_secret(name, value):
                yield title(config), f"holds {name} in plain text"


def _is_secret(name: str, value: str | None) -> bool:
    return bool(value) and (_sounds_secret(name) or LOGIN.search(str(value)) is not None)


@rule("A whole Secret in a pod is also the keys that are for others: the database owner's login.")
def secrets_one_by_one(stack: Stack) -> Iterator[Problem]:
    """Give a pod single keys of a Secret, never all of it as variables or files."""
    for pod, container in _containers(stack):
        if any("secretRef" in source for source in container.get("envFrom") or ()):
            yield pod.owner, "is given all of a Secret as variables"
    for pod in stack.pods():
        volumes = pod.spec.get("volumes") or ()
        if any("secret" in part for part in (*volumes, *_projected(pod))):
            yield pod.owner, "is given a Secret as files"


def _sounds_secret(name: str) -> bool:
    return not name.endswith(PUBLIC_ENDINGS) and any(word in name for word in SECRET_WORDS)
