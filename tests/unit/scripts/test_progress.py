"""What people see of the engine's work, from its events."""

import io
import json
from typing import Any

import pytest
from rich.console import Console

from scripts.deploy import drift
from scripts.deploy.events import Event, EventLog
from scripts.deploy.progress import View


def resource(op: str, kind: str = "Deployment", **more: Any) -> dict[str, Any]:
    inputs = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "coinslot-api"}}
    return {
        "op": op,
        "urn": f"urn:pulumi:staging::coinslot::kubernetes:apps/v1:{kind}::api",
        "type": f"kubernetes:apps/v1:{kind}",
        "new": {"inputs": inputs},
        **more,
    }


def begun(op: str, **more: Any) -> Event:
    return {"resourcePreEvent": {"metadata": resource(op, **more)}}


def ended(op: str, **more: Any) -> Event:
    return {"resOutputsEvent": {"metadata": resource(op, **more)}}


def shown(*events: Event, changes: bool = True) -> str:
    text = io.StringIO()
    ticks = iter(range(100))
    console = Console(file=text, width=100)
    with View("up staging", console, changes=changes, clock=lambda: next(ticks)) as view:
        for event in events:
            view.take(event)
    return text.getvalue()


def test_a_log_has_a_plain_line_for_what_was_changed_and_how_long_it_took() -> None:
    diff = {"spec.replicas": {"kind": "update"}}
    assert shown(begun("update", detailedDiff=diff), ended("update")) == (
        "  … Deployment coinslot-api: update\n"
        "  ~ Deployment coinslot-api updated, 1.0 s\n"
        "      spec.replicas\n"
    )


def test_what_stays_the_same_and_what_is_no_object_is_left_out() -> None:
    component = {"op": "create", "urn": "u::c", "type": "coinslot:k8s:Platform", "new": None}
    events = [begun("same"), ended("same"), {"resOutputsEvent": {"metadata": component}}]
    assert shown(*events) == ""


def test_a_failure_and_an_error_are_told_and_chatter_is_not() -> None:
    failed = {"resOpFailedEvent": {"metadata": resource("create", kind="Job")}}
    error = {"diagnosticEvent": {"severity": "error", "message": "no space [left]\n"}}
    ambient = {"diagnosticEvent": {"severity": "warning", "message": "using x from $PATH at /y"}}
    assert shown(failed, error, ambient) == (
        "  ! Job coinslot-api: create failed after 0.0 s\n  error: no space [left]\n"
    )


def test_a_violated_policy_is_told() -> None:
    judged = {"policyName": "no-token", "message": "it carries\na token", "color": "never"}
    assert shown({"policyEvent": {**judged, "enforcementLevel": "mandatory"}}) == (
        "  policy no-token: it carries a token\n"
    )


def test_a_search_for_drift_has_its_own_words() -> None:
    assert shown(ended("update"), changes=False) == ""


def test_events_come_as_they_are_written_and_half_a_line_is_no_event() -> None:
    heard: list[Event] = []
    with EventLog(heard.append) as log, log.path.open("w") as engine:
        engine.write(json.dumps({"sequence": 1}) + "\n")
        engine.write(json.dumps({"diagnosticEvent": {"severity": "debug"}}) + "\n")
        engine.write('{"sequence": \n')
    assert heard == log.events == [{"sequence": 1}]
    assert not log.path.exists()


def test_a_listener_that_fails_stops_nobody_and_is_heard_of() -> None:
    def fail(_event: Event) -> None:
        raise RuntimeError("broken")

    log = EventLog(fail)

    def run() -> None:
        with log, log.path.open("w") as engine:
            for number in range(20_000):  # more than a pipe holds
                engine.write(json.dumps({"sequence": number}) + "\n")

    with pytest.raises(RuntimeError, match="broken"):
        run()
    assert len(log.events) == 20_000


def refreshed(op: str, applied: dict[str, Any], live: dict[str, Any] | None) -> Event:
    outputs = None if live is None else {"outputs": {**live, "__inputs": applied}}
    metadata = {
        **resource(op, kind=applied["kind"]),
        "old": {"inputs": applied},
        "new": outputs,
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
    said = "\n".join(found.lines()) + json.dumps(found.document())
    assert "data.KEY" in said
    assert "value" not in said


def test_the_pipe_is_the_users_own() -> None:
    with EventLog() as log:
        assert log.path.stat().st_mode & 0o077 == 0
