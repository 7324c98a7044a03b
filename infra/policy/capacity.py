"""Rules about how many pods there are, and whether what they share is enough for them."""

from collections.abc import Iterator

from infra.policy.objects import Object, Stack, dig, selects, title
from infra.policy.rules import Problem, rule

SMALLEST_SCALE = 3
"""With a budget of two, one pod can always go."""
LARGEST_SCALE = 20


@rule("A disruption budget that keeps every pod blocks the drain of a node for ever.")
def budget_below_minimum(stack: Stack) -> Iterator[Problem]:
    """Keep a disruption budget below the smallest scale, and let broken pods be evicted."""
    for budget in stack.of("PodDisruptionBudget"):
        spec = budget["spec"]
        if spec.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            yield title(budget), "lets broken pods block a node's drain"
        if spec.get("maxUnavailable") in (0, "0", "0%"):
            yield title(budget), "lets no pod go, so no node can be drained"
        if spec.get("maxUnavailable") == "100%" or spec.get("minAvailable") in (0, "0", "0%"):
            yield title(budget), "lets every pod go at once"
        for deployment in stack.of("Deployment"):
            if not selects(spec["selector"], _pod_labels(deployment)):
                continue
            fewest, kept = replicas(stack, deployment)[0], spec.get("minAvailable", 0)
            if isinstance(kept, str):
                yield title(budget), f"counts in percent ({kept}), which rounds up to every pod"
            elif kept >= fewest:
                yield title(budget), f"keeps {kept} pods, and there may be only {fewest}"


@rule("One pod is an outage at each restart, eviction and node failure.")
def more_than_one_pod(stack: Stack) -> Iterator[Problem]:
    """Run every Deployment and StatefulSet with two pods or more."""
    for owner in stack.of("Deployment", "StatefulSet"):
        fewest, _ = replicas(stack, owner)
        if fewest < 2:  # noqa: PLR2004  one more than one
            yield title(owner), f"runs with {fewest} pod"


@rule("Fewer than three leave no room for a rollout and a drain; more than 20 drown the database.")
def scale_in_range(stack: Stack) -> Iterator[Problem]:
    """Let an autoscaler move between 3 and 20 pods, by CPU, memory and a metric of our own.

    `local` may do without the metric: a small cluster has nobody who serves it.
    """
    for scaler in stack.of("HorizontalPodAutoscaler"):
        spec = scaler["spec"]
        low, high = spec.get("minReplicas", 1), spec["maxReplicas"]
        if not SMALLEST_SCALE <= low < high <= LARGEST_SCALE:
            yield (
                title(scaler),
                f"moves between {low} and {high}, not in {SMALLEST_SCALE} to {LARGEST_SCALE}",
            )
        if dig(spec, "behavior.scaleUp.selectPolicy") == "Disabled":
            yield title(scaler), "never adds a pod"
        kinds = sorted(metric["type"] for metric in spec.get("metrics", ()))
        if stack.name == "local" and "Pods" not in kinds:
            kinds.insert(0, "Pods")
        if kinds != ["Pods", "Resource", "Resource"]:
            yield title(scaler), "doesn't scale by CPU, memory and a metric of the pods"


def replicas(stack: Stack, owner: Object) -> tuple[int, int]:
    for scaler in stack.of("HorizontalPodAutoscaler"):
        if scaler["spec"]["scaleTargetRef"]["name"] == owner["metadata"]["name"]:
            return scaler["spec"].get("minReplicas", 1), scaler["spec"]["maxReplicas"]
    number = owner["spec"].get("replicas", 1)
    return number, number


def _pod_labels(deployment: Object) -> dict[str, str]:
    found: dict[str, str] = deployment["spec"]["template"]["metadata"]["labels"]
    return found
