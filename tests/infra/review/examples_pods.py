"""Examples of risks to pods."""

from tests.infra.review.examples import API, CONTAINER, SECURITY, SPREAD, example
from tests.infra.review.small_stack import cut, put

EXAMPLES = [
    example(
        "privileges-raised",
        "privileges raised: api: its root filesystem is writable",
        put(API, f"{SECURITY}.readOnlyRootFilesystem", value=False),
    ),
    example(
        "privileges-raised",
        "the pod carries a token",
        cut(API, "spec.template.spec.automountServiceAccountToken"),
    ),
    example(
        "pod-security-lowered",
        "pod security lowered restricted → baseline",
        put(
            "Namespace shop", "metadata.labels", {"pod-security.kubernetes.io/enforce": "baseline"}
        ),
    ),
    example(
        "probe-loosened",
        "readinessProbe of api notices after 50 s, was 10 s",
        put(API, f"{CONTAINER}.readinessProbe.failureThreshold", 10),
    ),
    example(
        "probe-loosened",
        "readinessProbe of api notices after 610 s, was 10 s",
        put(API, f"{CONTAINER}.readinessProbe.initialDelaySeconds", 600),
    ),
    example(
        "probe-tightened",
        "livenessProbe of api restarts it after 1 s, was 30 s",
        put(API, f"{CONTAINER}.livenessProbe", {"periodSeconds": 1, "failureThreshold": 1}),
    ),
    example(
        "probe-tightened",
        "livenessProbe of api waits 1 s, was 2 s",
        put(API, f"{CONTAINER}.livenessProbe.timeoutSeconds", 1),
    ),
    example(
        "probe-changed",
        'livenessProbe of api asks something else: {"httpGet": {"path": "/live"}} → {"exec":',
        put(API, f"{CONTAINER}.livenessProbe", {"exec": {"command": ["true"]}}),
        one_way=False,
    ),
    example(
        "placement-changed",
        'nodeSelector changed: null → {"disk": "ssd"}: pods may find no node',
        put(API, "spec.template.spec.nodeSelector", {"disk": "ssd"}),
        one_way=False,
    ),
    example(
        "placement-changed",
        "spread over zone is demanded: pods may find no node",
        put(API, f"{SPREAD}.0.whenUnsatisfiable", "DoNotSchedule"),
    ),
    example("spread-removed", "spread over zone removed", cut(API, f"{SPREAD}.0")),
    example(
        "rollout-loosened",
        "rollout is paused: no change reaches the pods",
        put(API, "spec.paused", value=True),
    ),
    example("rollout-loosened", "a pod counts after 0 s", cut(API, "spec.minReadySeconds")),
    example(
        "rollout-loosened",
        "maxUnavailable 0 → 1",
        put(API, "spec.strategy.rollingUpdate.maxUnavailable", 1),
    ),
    example("rollout-loosened", "(Recreate)", put(API, "spec.strategy", {"type": "Recreate"})),
    example(
        "stops-harder",
        "grace period lowered 30 s → 5 s",
        put(API, "spec.template.spec.terminationGracePeriodSeconds", 5),
    ),
    example(
        "stops-harder",
        "preStop hook of api waits 1 s, was 5 s",
        put(API, f"{CONTAINER}.lifecycle.preStop.sleep.seconds", 1),
    ),
    example("stops-harder", "preStop hook of api removed", cut(API, f"{CONTAINER}.lifecycle")),
    example(
        "spread-removed",
        "affinity.podAntiAffinity removed",
        cut(API, "spec.template.spec.affinity"),
    ),
    example(
        "identity-changed",
        "priorityClassName changed: none → urgent",
        put(API, "spec.template.spec.priorityClassName", "urgent"),
        one_way=False,
    ),
    example(
        "surroundings-changed",
        'hostAliases changed: null → [{"hostnames": ["api.stripe.com"], "ip": "10.0.0.1"}]',
        put(
            API,
            "spec.template.spec.hostAliases",
            [{"ip": "10.0.0.1", "hostnames": ["api.stripe.com"]}],
        ),
        one_way=False,
    ),
    example(
        "identity-changed",
        "runAsUser of api changed: None → 1",
        put(API, f"{SECURITY}.runAsUser", 1),
        one_way=False,
    ),
    example(
        "command-changed",
        'args of api changed: ["api"] → ["worker"]',
        put(API, f"{CONTAINER}.args", ["worker"]),
        one_way=False,
    ),
]
