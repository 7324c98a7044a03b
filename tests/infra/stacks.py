"""Rendered stacks, and functions that damage them."""

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

from infra.policy.objects import Stack, load
from infra.review.pairing import unhashed
from tests.infra.program import ROOT

Break = Callable[[Stack], Any]
API, WORKER, CONFIG = "coinslot-api", "coinslot-worker", "coinslot-config"
SCALER, BUDGET, FLOW = "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy"


@cache
def rendered(stack: str) -> Stack:
    """Return the committed manifests; another test compares them with what the engine renders."""
    return load(ROOT / "infra" / "rendered" / stack)


def get(stack: Stack, kind: str, name: str) -> Any:
    """Return an object; the hash of its content may be left out of its name."""
    hashed = (obj for obj in stack.of(kind) if unhashed(obj["metadata"]["name"]) == name)
    found = stack.named(kind, name) or next(hashed, None)
    assert found is not None, f"{kind} {name}"
    return found


def pod(stack: Stack, name: str = API) -> Any:
    return get(stack, "Deployment", name)["spec"]["template"]["spec"]


def apart(stack: Stack) -> Any:
    """Return by what the API's pods keep away from each other's nodes."""
    wanted = pod(stack)["affinity"]["podAntiAffinity"]
    (term,) = wanted["preferredDuringSchedulingIgnoredDuringExecution"]
    return term["podAffinityTerm"]


def container(stack: Stack, name: str = API) -> Any:
    return pod(stack, name)["containers"][0]


def context(stack: Stack, name: str = API) -> Any:
    return container(stack, name)["securityContext"]


def spec(stack: Stack, kind: str, name: str = API) -> Any:
    return get(stack, kind, name)["spec"]


def add(stack: Stack, obj: Any) -> None:
    stack.objects.append(obj)  # type: ignore[attr-defined]


def drop(stack: Stack, kind: str, name: str) -> None:
    stack.objects.remove(get(stack, kind, name))  # type: ignore[attr-defined]


def copied(stack: str) -> Stack:
    return Stack(copy.deepcopy(list(rendered(stack).objects)))
