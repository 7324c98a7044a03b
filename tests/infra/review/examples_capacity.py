"""Examples of risks to capacity."""

from tests.infra.review.examples import API, CONTAINER, HPA, PDB, example
from tests.infra.review.small_stack import cut, put

EXAMPLES = [
    example("hpa-maximum-lowered", "HPA maximum lowered 20 → 10", put(HPA, "spec.maxReplicas", 10)),
    example("hpa-minimum-lowered", "HPA minimum lowered 3 → 2", put(HPA, "spec.minReplicas", 2)),
    example("hpa-minimum-lowered", "HPA minimum lowered 3 → 1", cut(HPA, "spec.minReplicas")),
    example("hpa-removed", "autoscaler removed", cut(HPA)),
    example(
        "hpa-changed",
        'HPA moves otherwise: behavior null → {"scaleUp": {"selectPolicy": "Disabled"}}',
        put(HPA, "spec.behavior", {"scaleUp": {"selectPolicy": "Disabled"}}),
        one_way=False,
    ),
    example(
        "hpa-changed",
        "HPA scales worker, was None",
        put(HPA, "spec.scaleTargetRef", {"kind": "Deployment", "name": "worker"}),
        one_way=False,
    ),
    example("replicas-lowered", "replicas lowered 3 → 1", cut(API, "spec.replicas")),
    example(
        "requests-raised",
        "cpu request of api raised 250m → 1",
        put(API, f"{CONTAINER}.resources.requests.cpu", "1"),
    ),
    example(
        "hpa-target-raised",
        "HPA target of Resource cpu raised",
        put(HPA, "spec.metrics.0.resource.target.averageUtilization", 90),
    ),
    example("hpa-target-raised", "HPA no longer scales by Pods busy", cut(HPA, "spec.metrics.1")),
    example("pdb-loosened", "PDB loosened: minAvailable 2 → 1", put(PDB, "spec.minAvailable", 1)),
    example(
        "pdb-loosened",
        "PDB loosened: maxUnavailable 1 → 50%",
        put("PodDisruptionBudget worker", "spec.maxUnavailable", "50%"),
    ),
    example("pdb-loosened", "PDB removed", cut(PDB)),
    example("replicas-lowered", "replicas lowered 3 → 1", put(API, "spec.replicas", 1)),
    example(
        "limits-removed",
        "memory limit of api removed (was 384Mi)",
        cut(API, f"{CONTAINER}.resources.limits.memory"),
    ),
    example(
        "limits-lowered",
        "cpu limit of api lowered 1 → 900m",
        put(API, f"{CONTAINER}.resources.limits.cpu", "900m"),
    ),
    example(
        "requests-lowered",
        "memory request of api lowered 192Mi → 100M",
        put(API, f"{CONTAINER}.resources.requests.memory", "100M"),
    ),
]
