"""Rules about what a pod could do if somebody got into it.

Pod Security admission and kube-score check the pods themselves (scripts/policy.py); these are
about what both leave open: the namespace's level, tokens, accounts, rights and secrets.
"""

import re
from collections.abc import Iterator
from typing import Final

from infra import labels
from infra.policy.objects import Object, Pod, Stack, dig, title
from infra.policy.rules import Problem, rule

LOGIN: Final = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
"""A URL's user and password."""
SECRET_WORDS: Final = ("PASSWORD", "SECRET", "TOKEN", "API_KEY", "PRIVATE_KEY", "CREDENTIAL")
PUBLIC_ENDINGS: Final = ("_URL", "_TTL_S", "_FILE")


def _containers(stack: Stack) -> Iterator[tuple[Pod, Object]]:
    for pod in stack.pods():
        for container in pod.containers:
            yield pod, container


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
        found = namespace["metadata"].get("labels", {})
        level = found.get(f"{labels.POD_SECURITY}/enforce")
        if level != "restricted":
            yield title(namespace), f"enforces the pod security standard {level}"
        version = found.get(f"{labels.POD_SECURITY}/enforce-version")
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
