"""What a cluster lacks, by the objects that a preview would make."""

from typing import Any

import pytest

from scripts.deploy import preflight
from scripts.deploy.preflight import PreflightError

RULES = {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule"}
SCALER = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "coinslot-api"},
    "spec": {
        "metrics": [
            {"type": "Resource", "resource": {"name": "cpu"}},
            {"type": "Pods", "pods": {"metric": {"name": "active_payments_gauge"}}},
        ]
    },
}
OBJECTS: list[dict[str, Any]] = [
    {"apiVersion": "v1", "kind": "Service"},
    {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"},
    RULES,
    SCALER,
]


def events(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    registered = [{"op": "create", "new": {"inputs": each}} for each in [*objects, {}]]
    return [
        {"preludeEvent": {}},
        {"resourcePreEvent": {"metadata": {"op": "delete", "new": None}}},
        *({"resourcePreEvent": {"metadata": each}} for each in registered),
    ]


def answers(monkeypatch: pytest.MonkeyPatch, versions: list[str], kinds: list[str]) -> None:
    """Let the cluster serve these versions of groups, and these kinds of the monitoring's."""
    groups = [
        {"name": each.partition("/")[0], "versions": [{"groupVersion": each}]} for each in versions
    ]
    said = {
        "/apis": {"groups": groups},
        "/apis/monitoring.coreos.com/v1": {"resources": [{"kind": each} for each in kinds]},
    }
    monkeypatch.setattr(preflight, "_asked", said.__getitem__)


BUILT_IN = ["autoscaling/v2", "networking.k8s.io/v1"]
MONITORING = "monitoring.coreos.com/v1"
METRICS = ["metrics.k8s.io/v1beta1", "custom.metrics.k8s.io/v1beta1"]


def test_a_cluster_with_everything_is_not_worth_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, [*BUILT_IN, MONITORING, *METRICS], ["PrometheusRule", "ServiceMonitor"])
    assert preflight.check(events(OBJECTS), preflight.Cluster()) == []


@pytest.mark.parametrize(
    ("versions", "kinds"),
    [
        ([*BUILT_IN, *METRICS], []),
        ([*BUILT_IN, *METRICS, MONITORING], ["ServiceMonitor"]),
        ([*BUILT_IN, *METRICS, "monitoring.coreos.com/v1alpha1"], []),
    ],
)
def test_a_kind_that_is_not_known_is_refused_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, versions: list[str], kinds: list[str]
) -> None:
    answers(monkeypatch, versions, kinds)
    with pytest.raises(PreflightError) as refused:
        preflight.check(events(OBJECTS), preflight.Cluster())
    said = str(refused.value)
    assert said.startswith(
        "the cluster does not know PrometheusRule (monitoring.coreos.com/v1); nothing was made"
    )
    assert "kubectl apply --server-side -f " in said


def test_where_no_definition_is_at_hand_the_command_names_the_pinned_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(preflight, "DEFINITIONS", preflight.DEFINITIONS / "none")
    answers(monkeypatch, BUILT_IN, [])
    with pytest.raises(PreflightError) as refused:
        preflight.check(events([RULES]), preflight.Cluster())
    said = str(refused.value)
    assert said.count(f"-f {preflight.SOURCE}/v") == 1
    assert said.endswith("monitoring.coreos.com_prometheusrules.yaml")


def test_an_autoscaler_without_a_value_is_worth_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, [*BUILT_IN, MONITORING], ["PrometheusRule"])
    cpu, payments = preflight.check(events(OBJECTS), preflight.Cluster())
    assert cpu == (
        "the cluster does not serve metrics.k8s.io: the autoscaler coinslot-api has no value of "
        "cpu until metrics-server serves it"
    )
    assert payments.endswith(
        "the autoscaler coinslot-api has no value of active_payments_gauge until an adapter serves "
        "it, or coinslot:api.autoscaling.activePayments is off"
    )


def test_an_autoscaler_that_does_not_use_the_custom_metric_needs_no_adapter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers(monkeypatch, [*BUILT_IN, METRICS[0]], [])
    scaler = SCALER | {"spec": {"metrics": [{"type": "Resource", "resource": {"name": "cpu"}}]}}
    assert preflight.check(events([scaler]), preflight.Cluster()) == []


def test_a_cluster_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    with pytest.raises(
        PreflightError, match=r"^the cluster of the kubeconfig does not answer: .*$"
    ):
        preflight.Cluster()
