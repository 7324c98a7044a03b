"""When an object of which kind works, judged by its status alone."""

from collections.abc import Mapping
from typing import Any

import pytest

from infra.offline_provider.cluster.readiness import State, Verdict, judge

Object = dict[str, Any]

API_VERSIONS = {
    "Deployment": "apps/v1",
    "ReplicaSet": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "Job": "batch/v1",
    "PodDisruptionBudget": "policy/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "CustomResourceDefinition": "apiextensions.k8s.io/v1",
    "APIService": "apiregistration.k8s.io/v1",
    "Kafka": "kafka.example/v1",
}
SEEN = {"observedGeneration": 2}
LATE = {"observedGeneration": 1}


def verdict(
    kind: str, spec: Object, status: Object, *, related: tuple[Object, ...] = (), **meta: Any
) -> Verdict:
    obj = {
        "apiVersion": API_VERSIONS.get(kind, "v1"),
        "kind": kind,
        "metadata": {"name": "it", "generation": 2, **meta},
        "spec": spec,
        "status": status,
    }

    def near(_version: str, _kind: str, _query: Mapping[str, str]) -> list[Object]:
        return list(related)

    return judge(obj, near)


def conditions(**states: str) -> Object:
    return {
        "conditions": [
            {"type": name, "status": status, "reason": "Why", "message": "because"}
            for name, status in states.items()
        ]
    }


def replicas(wanted: int, updated: int, total: int, available: int) -> tuple[Object, Object]:
    return {"replicas": wanted}, {
        **SEEN,
        "updatedReplicas": updated,
        "replicas": total,
        "availableReplicas": available,
        "readyReplicas": available,
    }


ENDPOINT = {"endpoints": [{"conditions": {"ready": True}}]}
NOT_READY = {"endpoints": [{"conditions": {"ready": False}}]}
LATE_CLASS = {"metadata": {"name": "fast"}, "volumeBindingMode": "WaitForFirstConsumer"}
BALANCED = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
REVISIONS = {"currentRevision": "1", "updateRevision": "2"}


@pytest.mark.parametrize(
    ("kind", "spec", "status", "related"),
    [
        ("Deployment", *replicas(2, 2, 2, 2), ()),
        ("Deployment", {"replicas": 0}, SEEN, ()),
        ("ReplicaSet", *replicas(2, 2, 2, 2), ()),
        ("StatefulSet", *replicas(2, 2, 2, 2), ()),
        ("StatefulSet", {"updateStrategy": {"type": "OnDelete"}}, {}, ()),
        (
            "StatefulSet",
            {"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 2}}},
            {**SEEN, **REVISIONS, "readyReplicas": 3, "updatedReplicas": 1},
            (),
        ),
        (
            "DaemonSet",
            {},
            {
                **SEEN,
                "desiredNumberScheduled": 1,
                "updatedNumberScheduled": 1,
                "numberAvailable": 1,
            },
            (),
        ),
        ("Job", {}, conditions(Complete="True"), ()),
        ("Job", {"suspend": True}, {}, ()),
        ("Pod", {}, conditions(Ready="True"), ()),
        ("Pod", {}, {"phase": "Succeeded"}, ()),
        ("Service", {"selector": {"a": "b"}}, {}, (NOT_READY, ENDPOINT)),
        ("Service", {"selector": {"a": "b"}}, {}, ({"endpoints": [{}]},)),
        ("Service", {}, {}, ()),
        ("Service", {"selector": {"a": "b"}, "clusterIP": "None"}, {}, ()),
        ("Service", {"type": "ExternalName", "externalName": "example.org"}, {}, ()),
        ("Service", {"type": "LoadBalancer", "selector": {"a": "b"}}, BALANCED, (ENDPOINT,)),
        ("PersistentVolumeClaim", {}, {"phase": "Bound"}, ()),
        (
            "PersistentVolumeClaim",
            {"storageClassName": "fast"},
            {"phase": "Pending"},
            (LATE_CLASS,),
        ),
        ("PodDisruptionBudget", {}, {**SEEN, "currentHealthy": 3, "desiredHealthy": 2}, ()),
        ("HorizontalPodAutoscaler", {}, conditions(AbleToScale="True", ScalingActive="False"), ()),
        ("CustomResourceDefinition", {}, conditions(NamesAccepted="True", Established="True"), ()),
        ("APIService", {}, conditions(Available="True"), ()),
        ("Namespace", {}, {"phase": "Active"}, ()),
        ("ConfigMap", {}, {}, ()),
        ("Kafka", {}, {**SEEN, **conditions(Ready="True")}, ()),
    ],
)
def test_it_works(kind: str, spec: Object, status: Object, related: tuple[Object, ...]) -> None:
    assert verdict(kind, spec, status, related=related).state is State.READY


@pytest.mark.parametrize(
    ("kind", "spec", "status", "text"),
    [
        ("Deployment", *replicas(2, 1, 3, 2), "1 of 2 replicas are of the new revision"),
        ("Deployment", *replicas(2, 2, 3, 2), "1 replicas of the old revision are still there"),
        ("Deployment", *replicas(2, 2, 2, 1), "1 of 2 replicas are available"),
        ("Deployment", {"replicas": 2}, LATE, "has not looked at it"),
        ("Deployment", {}, {}, "has not looked at it"),
        ("Deployment", {}, SEEN, "0 of 1 replicas are of the new"),
        ("ReplicaSet", *replicas(2, 2, 2, 1), "1 of 2 replicas are available"),
        ("StatefulSet", *replicas(2, 2, 2, 1), "1 of 2 replicas are ready"),
        (
            "StatefulSet",
            {},
            {**SEEN, **REVISIONS, "readyReplicas": 1},
            "0 of 1 replicas are updated",
        ),
        ("DaemonSet", {}, {**SEEN, "desiredNumberScheduled": 2}, "0 of 2 nodes run the new"),
        (
            "DaemonSet",
            {},
            {**SEEN, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2},
            "available on 0 of 2 nodes",
        ),
        ("Job", {}, {"active": 1, "failed": 2}, "0 of 1 pods succeeded, 1 active, 2 failed"),
        ("Pod", {}, {"phase": "Pending"}, "phase Pending"),
        ("Service", {"selector": {"a": "b"}}, {}, "no pod that its selector matches is ready"),
        ("Service", {"type": "LoadBalancer"}, {}, "the load balancer has no address"),
        ("PersistentVolumeClaim", {"storageClassName": "x"}, {"phase": "Pending"}, "Pending"),
        ("PodDisruptionBudget", {}, {**SEEN, "desiredHealthy": 2}, "0 healthy pods, and it asks"),
        ("PodDisruptionBudget", {}, LATE, "has not looked at it"),
        ("HorizontalPodAutoscaler", {}, conditions(AbleToScale="False"), "Why: because"),
        ("HorizontalPodAutoscaler", {}, {}, "has not looked yet"),
        ("CustomResourceDefinition", {}, conditions(NamesAccepted="True"), "not established"),
        ("APIService", {}, conditions(Available="False"), "Why: because"),
        ("Namespace", {}, {"phase": "Terminating"}, "phase Terminating"),
        ("Kafka", {}, LATE, "has not looked at it"),
        ("Kafka", {}, conditions(Reconciling="True"), "Why: because"),
        ("Kafka", {}, conditions(Ready="False"), "Why: because"),
    ],
)
def test_it_takes_its_time(kind: str, spec: Object, status: Object, text: str) -> None:
    found = verdict(kind, spec, status)

    assert found.state is State.WAITING
    assert text in found.text


@pytest.mark.parametrize(
    ("kind", "status", "text"),
    [
        (
            "Deployment",
            {
                **SEEN,
                "conditions": [
                    {
                        "type": "Progressing",
                        "status": "False",
                        "reason": "ProgressDeadlineExceeded",
                        "message": "too slow",
                    }
                ],
            },
            "ProgressDeadlineExceeded: too slow",
        ),
        ("Job", conditions(Failed="True"), "Why: because"),
        ("Pod", {"phase": "Failed"}, "ended with an error"),
        ("PersistentVolumeClaim", {"phase": "Lost"}, "its volume is gone"),
        ("CustomResourceDefinition", conditions(NamesAccepted="False"), "Why: because"),
        ("Kafka", conditions(Stalled="True"), "Why: because"),
    ],
)
def test_it_will_never_work(kind: str, status: Object, text: str) -> None:
    found = verdict(kind, {}, status)

    assert found.state is State.FAILED
    assert text in found.text


def test_what_is_being_deleted_is_not_ready() -> None:
    found = verdict("ConfigMap", {}, {}, deletionTimestamp="2026-01-01T00:00:00Z")

    assert found == Verdict(State.WAITING, "it is being deleted")
