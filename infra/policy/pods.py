"""Rules about each pod by itself: locked down, bounded, given time, told everything."""

from collections.abc import Iterator

from infra.policy.objects import Object, Pod, Stack
from service.settings import Settings, env_name, secret_fields

RESOURCES = ("cpu", "memory", "ephemeral-storage")


def locked_down(stack: Stack) -> Iterator[str]:
    """Demand the Pod Security Standard "restricted", a read-only root, and no token."""
    for pod in stack.pods():
        for what, good in _locks(pod).items():
            if not good:
                yield f"{pod.owner}: {what}"


def _locks(pod: Pod) -> dict[str, bool]:
    context: Object = pod.container.get("securityContext", {})
    return {
        "the root filesystem is writable": context.get("readOnlyRootFilesystem") is True,
        "privileges can grow": context.get("allowPrivilegeEscalation") is False,
        "it may run as root": context.get("runAsNonRoot") is True
        and bool(context.get("runAsUser"))
        and bool(context.get("runAsGroup")),
        "capabilities are left": context.get("capabilities", {}).get("drop") == ["ALL"],
        "system calls are not filtered": context.get("seccompProfile", {}).get("type")
        == "RuntimeDefault",
        "it carries a token": pod.spec.get("automountServiceAccountToken") is False,
        "it uses the default account": pod.spec.get("serviceAccountName") not in (None, "default"),
    }


def bounded(stack: Stack) -> Iterator[str]:
    """Demand requests and limits of every resource, and an image that stays the same."""
    for pod in stack.pods():
        resources = pod.container.get("resources", {})
        for bound in ("requests", "limits"):
            missing = [name for name in RESOURCES if name not in resources.get(bound, {})]
            if missing:
                yield f"{pod.owner} has no {bound} of {', '.join(missing)}"
        _, _, tag = pod.container["image"].rpartition("/")[2].partition(":")
        if tag in ("", "latest"):
            yield f"{pod.owner} runs {pod.container['image']}, which can change under it"


def time_to_drain(stack: Stack) -> Iterator[str]:
    """Let the kubelet wait longer than the hook and the service's own drain together."""
    for pod in stack.pods():
        hook = pod.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {})
        needed = hook.get("seconds", 0) + float(stack.settings(pod)["SHUTDOWN_DRAIN_S"])
        grace = pod.spec["terminationGracePeriodSeconds"]
        if grace <= needed:
            yield f"{pod.owner} is killed after {grace} s and needs {needed:g} s to stop"
        if pod.container.get("ports") and not hook:
            yield f"{pod.owner} stops while requests still arrive: it has no preStop hook"


def settings_complete(stack: Stack) -> Iterator[str]:
    """Give every setting of the service a value, and the secret ones from a Secret."""
    secret = {env_name(name) for name in secret_fields()}
    plain = {env_name(name) for name in Settings.__struct_fields__} - secret
    for pod in stack.pods():
        values = stack.settings(pod)
        variables = {variable["name"]: variable for variable in pod.container.get("env", ())}
        for name in sorted(plain - values.keys() - variables.keys()):
            yield f"{pod.owner} is not told {name}"
        for name in sorted(secret):
            if name in values or "value" in variables.get(name, {}):
                yield f"{pod.owner} has the secret {name} in plain text"
            elif name not in variables:
                yield f"{pod.owner} is not given {name}"
