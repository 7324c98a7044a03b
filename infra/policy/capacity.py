"""Rules about how many pods there are, and whether what they share is enough for them."""

import math
from collections.abc import Iterator

from infra import labels
from infra.policy.objects import Object, Stack, selects, title


def budget_below_minimum(stack: Stack) -> Iterator[str]:
    """Refuse a disruption budget that keeps every pod: no node could be drained."""
    for budget in stack.of("PodDisruptionBudget"):
        spec = budget["spec"]
        if spec.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            yield f"{title(budget)} lets broken pods block a node's drain"
        for deployment in stack.of("Deployment"):
            if not selects(spec["selector"], _pod_labels(deployment)):
                continue
            fewest, kept = _replicas(stack, deployment)[0], spec.get("minAvailable", 0)
            if kept >= fewest:
                yield f"{title(budget)} keeps {kept} pods, and there may be only {fewest}"


def replicas_left_to_autoscaler(stack: Stack) -> Iterator[str]:
    """Refuse a fixed number under an autoscaler: each update would reset its work."""
    for scaler in stack.of("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        deployment = stack.named(target["kind"], target["name"])
        if deployment is None:
            yield f"{title(scaler)} scales {target['name']}, which is not there"
        elif "replicas" in deployment["spec"]:
            yield f"{title(deployment)} sets replicas, and {title(scaler)} owns them"


def connections_fit(stack: Stack) -> Iterator[str]:
    """Count all pods of a rollout at full scale, each with a full pool, against the database."""
    for config in stack.of("ConfigMap"):
        allowed = config["metadata"].get("annotations", {}).get(labels.DATABASE_CONNECTIONS)
        if allowed is None:
            continue
        pool = int(config["data"]["DB_POOL_SIZE"])
        most = sum(_most_pods(stack, deployment) for deployment in stack.of("Deployment"))
        migrations = sum(1 for _ in stack.of("Job"))
        needed = most * pool + migrations
        if needed > int(allowed):
            yield (
                f"{most} pods with {pool} connections and {migrations} migration need {needed}; "
                f"the database has {allowed} for them"
            )


def _most_pods(stack: Stack, deployment: Object) -> int:
    """Return how many pods there are at once, in a rollout at full scale."""
    most = _replicas(stack, deployment)[1]
    surge = str(deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"])
    if surge.endswith("%"):
        return most + math.ceil(most * int(surge.removesuffix("%")) / 100)
    return most + int(surge)


def _replicas(stack: Stack, deployment: Object) -> tuple[int, int]:
    for scaler in stack.of("HorizontalPodAutoscaler"):
        if scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]:
            return scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]
    replicas = deployment["spec"].get("replicas", 1)
    return replicas, replicas


def _pod_labels(deployment: Object) -> dict[str, str]:
    found: dict[str, str] = deployment["spec"]["template"]["metadata"]["labels"]
    return found
