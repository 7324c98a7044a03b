"""Each rule names its example, and says nothing about the way back where that is safe."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from infra.review import RULES, Review, compare
from tests.infra.review.small_stack import Objects, add, cut, put, stack

API = "Deployment api"
CONTAINER = "spec.template.spec.containers.0"
SECURITY = f"{CONTAINER}.securityContext"
SPREAD = "spec.template.spec.topologySpreadConstraints"
HPA, PDB, ALERTS = "HorizontalPodAutoscaler api", "PodDisruptionBudget api", "PrometheusRule shop"
ERRORS = "spec.groups.0.rules.1"
DATABASE = "NetworkPolicy database"
EGRESS = "spec.egress.0.to.0.ipBlock.cidr"


@dataclass(frozen=True)
class Example:
    """A change, what the rule says of it, and whether it has nothing to say of the way back."""

    rule: str
    text: str
    edit: Callable[[Objects], None]
    one_way: bool = True


def example(
    rule: str, text: str, edit: Callable[[Objects], None], *, one_way: bool = True
) -> Example:
    return Example(rule, text, edit, one_way)


def renamed(made: Objects) -> None:
    job = made.pop("Job migrate-0a1b2c3d")
    job["metadata"]["name"] = "migrate-ffffffff"
    made["Job migrate-ffffffff"] = job


def more_secret(made: Objects) -> None:
    reference = {"name": "elsewhere", "key": "TOKEN"}
    variables = made[API]["spec"]["template"]["spec"]["containers"][0]["env"]
    variables.append({"name": "TOKEN", "valueFrom": {"secretKeyRef": reference}})


ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {"name": "reader", "namespace": "shop"},
    "rules": [{"resources": ["secrets"], "verbs": ["get"]}],
}

EXAMPLES = [
    example(
        "object-replaced",
        "replaces the Service (spec.clusterIP is immutable): its address is gone",
        put("Service api", "spec.clusterIP", "None"),
        one_way=False,
    ),
    example("object-deleted", "deletes the Service: what it serves stops", cut("Service api")),
    example("data-deleted", "its data may go with it", cut("PersistentVolumeClaim data")),
    example(
        "needed-object-deleted",
        "deletes what Deployment api names: its pods won't start",
        cut("ServiceAccount api"),
    ),
    example(
        "needed-object-deleted",
        "deletes what Deployment api names: its pods won't start",
        cut("ConfigMap config"),
    ),
    example(
        "service-changed",
        "targetPort of port 80 changed: None → 9",
        put("Service api", "spec.ports.0.targetPort", 9),
        one_way=False,
    ),
    example(
        "service-changed",
        "name of port 80 changed: http → web",
        put("Service api", "spec.ports.0.name", "web"),
        one_way=False,
    ),
    example(
        "service-changed",
        "requests go to pods that are not ready",
        put("Service api", "spec.publishNotReadyAddresses", value=True),
    ),
    example(
        "containers-changed",
        "container web added (shop:1): nothing compares it",
        put(API, f"{CONTAINER}.name", "web"),
        one_way=False,
    ),
    example(
        "containers-changed",
        "init container first added (evil:1)",
        put(API, "spec.template.spec.initContainers", [{"name": "first", "image": "evil:1"}]),
        one_way=False,
    ),
    example("variable-removed", "variable KEY of api removed", cut(API, f"{CONTAINER}.env.0")),
    example(
        "variable-removed",
        "all variables of config removed from api",
        cut(API, f"{CONTAINER}.envFrom"),
    ),
    example(
        "secret-exposed",
        "is given all of Secret secrets",
        put(API, f"{CONTAINER}.envFrom", [{"secretRef": {"name": "secrets"}}]),
    ),
    example(
        "secret-exposed",
        "is given all of Secret secrets",
        put(
            API, "spec.template.spec.volumes", [{"name": "s", "secret": {"secretName": "secrets"}}]
        ),
    ),
    example(
        "selector-changed",
        "requests go to other pods",
        put("Service api", "spec.selector.app", "worker"),
        one_way=False,
    ),
    example(
        "service-port-removed",
        "port 80 removed: clients that use it fail",
        cut("Service api", "spec.ports.0"),
    ),
    example(
        "image-changed",
        "image of api changed: shop:1 → shop:2",
        put(API, f"{CONTAINER}.image", "shop:2"),
        one_way=False,
    ),
    example("migration-runs", "migration job runs before the rollout", renamed, one_way=False),
    example(
        "pods-restart",
        "restarts the pods of api",
        put(API, "spec.template.metadata.labels.v", "2"),
        one_way=False,
    ),
    example(
        "setting-changed",
        "setting LOG_LEVEL: 'info' → 'debug'",
        put("ConfigMap config", "data.LOG_LEVEL", "debug"),
        one_way=False,
    ),
    example(
        "secret-key-removed",
        "secret key KEY removed: pods of Deployment api won't start",
        cut("Secret secrets", "data.KEY"),
    ),
    example(
        "secret-key-removed",
        "secret key OLD removed: nobody requires it",
        cut("Secret secrets", "data.OLD"),
    ),
    example("secret-deleted", "pods of Deployment api won't start", cut("Secret secrets")),
    example(
        "secret-key-required",
        "secret key TOKEN of elsewhere is required now: pods won't start before it is there",
        more_secret,
    ),
    example(
        "secret-variable-removed",
        "secret key KEY of secrets removed from the pods",
        cut(API, f"{CONTAINER}.env.0"),
    ),
    example(
        "network-opened-to-the-world",
        "NetworkPolicy opens egress to 0.0.0.0/0:5432",
        put(DATABASE, EGRESS, "0.0.0.0/0"),
    ),
    example(
        "network-opened-to-the-world",
        "NetworkPolicy opens egress to everywhere:5432",
        cut(DATABASE, "spec.egress.0.to"),
    ),
    example(
        "network-opened-to-the-world",
        "NetworkPolicy opens egress to 169.254.169.254/32:5432",
        put(DATABASE, EGRESS, "169.254.169.254/32"),
    ),
    example(
        "network-opened-to-the-world",
        "NetworkPolicy opens egress to namespace any:5432",
        put(DATABASE, "spec.egress.0.to", [{"namespaceSelector": {"matchLabels": {}}}]),
    ),
    example(
        "network-closed",
        "NetworkPolicy closes egress to 10.1.0.0/24:5432",
        put(DATABASE, "spec.policyTypes", ["Ingress"]),
    ),
    example(
        "network-opened",
        "NetworkPolicy opens egress to 10.2.0.0/16:5432",
        put(DATABASE, EGRESS, "10.2.0.0/16"),
        one_way=False,
    ),
    example("network-closed", "NetworkPolicy closes egress to 10.1.0.0/24:5432", cut(DATABASE)),
    example(
        "network-selection-changed",
        "applies to other pods",
        put(DATABASE, "spec.podSelector", {}),
        one_way=False,
    ),
    example("default-deny-removed", "Egress is no longer denied", cut("NetworkPolicy deny-all")),
    example(
        "service-published",
        "published outside the cluster (type LoadBalancer)",
        put("Service api", "spec.type", "LoadBalancer"),
    ),
    example(
        "service-published",
        "Service is published at 203.0.113.7",
        put("Service api", "spec.externalIPs", ["203.0.113.7"]),
    ),
    example(
        "service-published",
        "requests leave for shop.example",
        put("Service api", "spec", {"type": "ExternalName", "externalName": "shop.example"}),
    ),
    example(
        "service-published",
        "created a HTTPRoute: read whom it lets in",
        add({"apiVersion": "v1", "kind": "HTTPRoute", "metadata": {"name": "door"}}),
    ),
    example(
        "rights-granted",
        "hands out tokens",
        cut("ServiceAccount api", "automountServiceAccountToken"),
    ),
    example(
        "rights-granted",
        "eks.amazonaws.com/role-arn is admin: the account may be somebody elsewhere",
        put("ServiceAccount api", "metadata.annotations", {"eks.amazonaws.com/role-arn": "admin"}),
    ),
    example("rights-granted", "created a Role: read which rights", add(ROLE)),
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
    example(
        "privileges-raised",
        "privileges raised: api: readOnlyRootFilesystem is false",
        put(API, f"{SECURITY}.readOnlyRootFilesystem", value=False),
    ),
    example(
        "privileges-raised",
        "privileges raised: api: runAsNonRoot is not set",
        cut(API, f"{SECURITY}.runAsNonRoot"),
    ),
    example(
        "privileges-raised",
        "privileges raised: api: capability NET_ADMIN added",
        put(API, f"{SECURITY}.capabilities.add", ["NET_ADMIN"]),
    ),
    example(
        "privileges-raised",
        "privileges raised: hostNetwork is on",
        put(API, "spec.template.spec.hostNetwork", value=True),
    ),
    example(
        "privileges-raised",
        "privileges raised: mounts the node's /etc",
        put(API, "spec.template.spec.volumes", [{"name": "x", "hostPath": {"path": "/etc"}}]),
    ),
    example(
        "privileges-raised",
        "the pod carries a token",
        cut(API, "spec.template.spec.automountServiceAccountToken"),
    ),
    example(
        "privileges-raised",
        "privileges raised: api: it runs as root",
        put(API, "spec.template.spec.securityContext", {"runAsUser": 0}),
    ),
    example(
        "privileges-raised",
        "privileges raised: api: procMount is unmasked",
        put(API, f"{SECURITY}.procMount", "Unmasked"),
    ),
    example(
        "privileges-raised",
        "privileges raised: api: it takes port 80 of its node",
        put(API, f"{CONTAINER}.ports", [{"containerPort": 80, "hostPort": 80}]),
    ),
    example(
        "privileges-raised",
        "privileges raised: sets kernel.msgmax of the kernel",
        put(API, "spec.template.spec.securityContext", {"sysctls": [{"name": "kernel.msgmax"}]}),
    ),
    example(
        "pod-security-lowered",
        "pod security lowered restricted → baseline",
        put(
            "Namespace shop", "metadata.labels", {"pod-security.kubernetes.io/enforce": "baseline"}
        ),
    ),
    example(
        "probe-removed", "readinessProbe of api removed", cut(API, f"{CONTAINER}.readinessProbe")
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
    example("alert-removed", "alert removed: ErrorsHigh", cut(ALERTS, ERRORS)),
    example("alert-removed", "alert removed: TooFew", cut(ALERTS)),
    example(
        "alert-loosened",
        "alert ErrorsHigh loosened: threshold > 0.05 → > 0.1",
        put(
            ALERTS,
            f"{ERRORS}.expr",
            'sum(rate(errors_total{job="a>1"}[5m])) / sum(rate(all_total[5m])) > 0.1',
        ),
    ),
    example(
        "alert-loosened",
        "alert TooFew loosened: threshold < 0.5 → < 0.1",
        put(ALERTS, "spec.groups.0.rules.2.expr", "rate(all_total[5m]) < 0.1"),
    ),
    example("alert-loosened", "for 5m → 1h30m", put(ALERTS, f"{ERRORS}.for", "1h30m")),
    example(
        "alert-loosened",
        "severity critical → warning",
        put(ALERTS, f"{ERRORS}.labels.severity", "warning"),
    ),
    example(
        "alert-loosened",
        "label team payments → None, by which it is routed",
        cut(ALERTS, f"{ERRORS}.labels.team"),
    ),
    example(
        "alerts-evaluated-later",
        "group payments is evaluated every 1h, was 1m",
        put(ALERTS, "spec.groups.0.interval", "1h"),
    ),
    example(
        "alerts-evaluated-later",
        "group payments fails with more than 1 results",
        put(ALERTS, "spec.groups.0.limit", 1),
    ),
    example(
        "recording-changed",
        "recorded series job:errors:rate5m is made of something else",
        put(ALERTS, "spec.groups.0.rules.0.expr", "vector(0)"),
        one_way=False,
    ),
    example(
        "scrape-changed",
        'scraping changed: spec.endpoints[http].relabelings null → [{"action": "drop"}]',
        put("ServiceMonitor shop", "spec.endpoints.0.relabelings", [{"action": "drop"}]),
        one_way=False,
    ),
    example(
        "scrape-changed",
        'scraping changed: spec.endpoints[http].interval "15s" → "10m"',
        put("ServiceMonitor shop", "spec.endpoints.0.interval", "10m"),
        one_way=False,
    ),
    example(
        "scaled-metric-changed",
        "prometheus-adapter's rules changed",
        put("ConfigMap adapter", "data", {"config.yaml": "rules: []"}),
        one_way=False,
    ),
    example("scaled-metric-changed", "the HPA may lose its metric", cut("ConfigMap adapter")),
    example(
        "panel-removed",
        "panel removed: Rate",
        put("ConfigMap overview", "data", {"overview.json": '{"panels": []}'}),
    ),
    example(
        "panel-removed",
        "panel removed: Rate",
        put("ConfigMap overview", "data", {"overview.json": "{"}),
    ),
    example(
        "alert-tightened",
        "alert TooFew tightened: threshold < 0.5 → < 0.9",
        put(ALERTS, "spec.groups.0.rules.2.expr", "rate(all_total[5m]) < 0.9"),
    ),
    example(
        "alert-changed",
        "alert ErrorsHigh asks something else",
        put(ALERTS, f"{ERRORS}.expr", "sum(rate(errors_total[10m])) > 0.05"),
        one_way=False,
    ),
    example("recording-removed", "job:errors:rate5m", cut(ALERTS, "spec.groups.0.rules.0")),
    example("monitoring-target-removed", "its metrics end", cut("ServiceMonitor shop")),
    example(
        "monitoring-target-removed",
        "endpoint http",
        put("ServiceMonitor shop", "spec.endpoints", []),
    ),
    example(
        "monitoring-target-removed",
        "selector changed",
        put("ServiceMonitor shop", "spec.selector", {"matchLabels": {"app": "other"}}),
        one_way=False,
    ),
    example(
        "monitoring-label-removed",
        "label release=prometheus removed",
        cut(ALERTS, "metadata.labels.release"),
    ),
    example("dashboard-removed", "dashboard removed", cut("ConfigMap overview")),
]


def named(review: Review, rule: str) -> list[str]:
    return [risk.text for risk in review.risks if risk.rule == rule]


@pytest.mark.parametrize("case", EXAMPLES, ids=lambda case: f"{case.rule}: {case.text[:40]}")
def test_a_rule_names_its_example(case: Example) -> None:
    whole, broken = stack(), stack(case.edit)

    found = named(compare("staging", whole, broken), case.rule)
    assert any(case.text in text for text in found), found
    if case.one_way:
        assert named(compare("staging", broken, whole), case.rule) == []


def test_every_rule_has_an_example() -> None:
    assert {rule.id for rule in RULES} == {case.rule for case in EXAMPLES}
    assert len({rule.id for rule in RULES}) == len(RULES)


def test_no_change_is_no_risk() -> None:
    review = compare("staging", stack(), stack())
    assert (review.changes, review.risks) == ([], [])


def test_the_worst_comes_first() -> None:
    edits: list[Any] = [
        case.edit for case in EXAMPLES if case.rule in ("pods-restart", "hpa-removed")
    ]
    review = compare("staging", stack(), stack(*edits))
    assert [risk.severity for risk in review.risks] == ["high", "low"]


def test_a_number_in_a_name_a_range_or_a_string_is_no_threshold() -> None:
    expression = 'sum(rate(http2_total{code="500"}[5m])) > 0.5'
    other = expression.replace("http2", "http3")
    before = stack(put(ALERTS, f"{ERRORS}.expr", expression))
    after = stack(put(ALERTS, f"{ERRORS}.expr", other))
    review = compare("staging", before, after)
    assert [risk.rule for risk in review.risks] == ["alert-changed"]
