"""`mixin.libsonnet` exports what the Pulumi program ships, in the form that mixins have."""

import json
from pathlib import Path
from typing import Any

import pytest
import rjsonnet
import yaml

ROOT = Path(__file__).parents[2]
STACKS = ("local", "staging", "prod")

Object = dict[str, Any]


EXPORTS = ("grafanaDashboards", "prometheusAlerts", "prometheusRules")


@pytest.fixture(scope="module")
def mixin() -> Object:
    """Import it as its users do; the fields are hidden ones, as mixins' fields are."""
    fields = ", ".join(f"{name}: mixin.{name}" for name in EXPORTS)
    user = f"local mixin = import 'mixin.libsonnet'; {{ {fields} }}"
    found: Object = json.loads(rjsonnet.evaluate_snippet("user", user, jpathdir=str(ROOT)))
    return found


def rendered(stack: str, kind: str) -> list[Object]:
    folder = ROOT / "infra" / "rendered" / stack
    loaded = (yaml.safe_load(path.read_text()) for path in sorted(folder.rglob("*.yaml")))
    return [found for found in loaded if found["kind"] == kind]


def rules_of(groups: list[Object], kind: str) -> list[Object]:
    return [rule for group in groups for rule in group["rules"] if kind in rule]


def test_it_can_be_added_to_other_mixins() -> None:
    other = "{ prometheusAlerts+:: { groups+: [{ name: 'other' }] } }"
    user = f"({other} + import 'mixin.libsonnet').prometheusAlerts.groups"
    groups = json.loads(rjsonnet.evaluate_snippet("user", user, jpathdir=str(ROOT)))
    names = [group["name"] for group in groups]
    assert names[0] == "other"
    assert "coinslot-payments" in names


@pytest.mark.parametrize("stack", STACKS)
def test_its_dashboards_are_those_that_are_shipped(mixin: Object, stack: str) -> None:
    shipped = {
        name: json.loads(text)
        for one in rendered(stack, "ConfigMap")
        for name, text in one["data"].items()
        if one["metadata"]["labels"].get("grafana_dashboard")
    }
    assert len(shipped) > 1
    assert mixin["grafanaDashboards"] == shipped


@pytest.mark.parametrize("stack", STACKS)
def test_its_rules_are_those_that_are_shipped(mixin: Object, stack: str) -> None:
    (shipped,) = rendered(stack, "PrometheusRule")
    groups = shipped["spec"]["groups"]
    alerts, recordings = mixin["prometheusAlerts"]["groups"], mixin["prometheusRules"]["groups"]
    assert rules_of(alerts, "alert") == rules_of(groups, "alert")
    assert rules_of(recordings, "record") == rules_of(groups, "record")
    assert not rules_of(alerts, "record")
    assert not rules_of(recordings, "alert")
    exported = {group["name"]: group["interval"] for group in (*recordings, *alerts)}
    assert exported == {group["name"]: group["interval"] for group in groups}
