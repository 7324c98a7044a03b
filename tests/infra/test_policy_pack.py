"""The real engine asks the policy pack before it applies anything, and a mandatory rule stops it.

That it lets the stacks pass is in test_engine.py and test_operations.py.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pulumi_policy import PolicyResource
from pulumi_policy.proxy import unknown_checking_proxy

from infra.policy.pulumi_pack import stack_of
from scripts import console
from tests.support.clones import clone

ENGINE_TIMEOUT_S = 240  # a preview of some seconds, on a busy machine


@pytest.mark.timeout(ENGINE_TIMEOUT_S)
def test_what_breaks_a_mandatory_rule_is_not_applied(tmp_path: Path) -> None:
    made = clone(
        tmp_path,
        {
            "PULUMI_BACKEND_URL": (tmp_path / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "development",
            "COINSLOT_RENDER_DIR": str(tmp_path / "out"),
        },
    )
    (tmp_path / "state").mkdir()
    text = "  coinslot:worker:\n"
    made.edit("Pulumi.staging.yaml", text, f"{text}    replicas: 1\n")

    done = made.run("scripts.deploy.stack", "up", "staging")

    assert done.code == console.FAILED
    assert "more-than-one-pod" in done.err
    assert "Deployment coinslot-worker runs with 1 pod. One pod is an outage" in done.err
    assert "preview of staging failed" in done.err
    assert "nothing was applied" in done.err
    assert done.out == ""
    assert not (tmp_path / "out").exists()
    assert json.loads(made.run("scripts.deploy.stack", "releases", "staging", "--json").out) == []


def resource(kind: str, props: Mapping[str, Any]) -> PolicyResource:
    options: Any = None
    wrapped = unknown_checking_proxy(dict(props))
    return PolicyResource(kind, wrapped, f"urn:{kind}", "name", options, None, None, [], {})


def test_what_the_engine_knows_becomes_what_a_manifest_says() -> None:
    deployment = {
        "kind": "Deployment",
        "metadata": {"name": "a"},
        "spec": {"replicas": 3.0, "parts": [1.5, True, "1"]},
        "status": {"ready": 1.0},
        "__inputs": {},
    }
    secret = {"kind": "Secret", "metadata": {"name": "s"}, "stringData": {"KEY": "planted"}}
    stack = stack_of(
        [
            resource("pulumi:providers:kubernetes", {}),
            resource("coinslot:k8s:Platform", {}),
            resource("kubernetes:apps/v1:Deployment", deployment),
            resource("kubernetes:core/v1:Secret", secret),
        ],
        {},
    )

    assert stack.objects == [
        {
            "kind": "Deployment",
            "metadata": {"name": "a"},
            "spec": {"replicas": 3, "parts": [1.5, True, "1"]},
        },
        {"kind": "Secret", "metadata": {"name": "s"}},
    ]


def test_what_a_controller_has_set_is_not_what_the_program_wants() -> None:
    wanted = {"kind": "Deployment", "metadata": {"name": "a"}, "spec": {}}
    live = {**wanted, "spec": {"replicas": 3.0}}
    found = resource("kubernetes:apps/v1:Deployment", live)

    assert stack_of([found], {found.urn: wanted}).objects == [wanted]
