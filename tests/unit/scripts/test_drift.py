"""What is no longer as it was applied, from the engine's events of a refresh."""

import json
from typing import Any

from scripts.deploy import drift
from scripts.deploy.engine import Event


def refreshed(op: str, applied: dict[str, Any], live: dict[str, Any] | None) -> Event:
    kind = applied["kind"]
    metadata = {
        "op": op,
        "urn": f"urn:pulumi:staging::coinslot::kubernetes:core/v1:{kind}::config",
        "type": f"kubernetes:core/v1:{kind}",
        "old": {"inputs": applied},
        "new": None if live is None else {"outputs": {**live, "__inputs": applied}},
    }
    return {"resOutputsEvent": {"metadata": metadata}}


def config(**data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "config"},
        "data": data,
    }


def test_drift_is_what_was_applied_and_is_otherwise_now() -> None:
    live = {**config(A="2", B="added by somebody"), "status": {"seen": True}}
    (found,) = drift.found([refreshed("update", config(A="1"), live)])
    assert list(found.lines()) == ["~ ConfigMap config was changed", "    ~ data.A: 1 → 2"]


def test_what_a_server_adds_is_no_drift() -> None:
    live = {**config(A="1"), "status": {"seen": True}}
    assert drift.found([refreshed("update", config(A="1"), live)]) == []


def test_an_object_that_is_gone_is_drift() -> None:
    (found,) = drift.found([refreshed("delete", config(A="1"), None)])
    assert (found.object, found.gone) == ("ConfigMap config", True)


def test_values_of_a_secret_are_not_shown() -> None:
    applied = {**config(KEY="old-value"), "kind": "Secret"}
    live = {**config(KEY="new-value"), "kind": "Secret"}
    (found,) = drift.found([refreshed("update", applied, live)])
    message = "\n".join(found.lines()) + json.dumps(found.document())
    assert "data.KEY" in message
    assert "value" not in message


def test_how_many_pods_an_autoscaler_wants_is_no_drift() -> None:
    def deployment(replicas: int, grace_s: int) -> dict[str, Any]:
        template = {"spec": {"terminationGracePeriodSeconds": grace_s}}
        spec = {"replicas": replicas, "template": template}
        return {"kind": "Deployment", "metadata": {"name": "api"}, "spec": spec}

    target = {"scaleTargetRef": {"kind": "Deployment", "name": "api"}}
    scaler = {"kind": "HorizontalPodAutoscaler", "metadata": {"name": "api"}, "spec": target}
    changed = refreshed("update", deployment(3, 30), deployment(4, 60))
    (found,) = drift.found([changed, refreshed("same", scaler, scaler)])
    assert [field.path for field in found.fields] == [
        "spec.template.spec.terminationGracePeriodSeconds"
    ]
    (alone,) = drift.found([changed])
    assert "spec.replicas" in [field.path for field in alone.fields]
