"""The real engine asks the policy pack, and a mandatory violation ends its preview."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pulumi_policy import PolicyResource
from pulumi_policy.proxy import unknown_checking_proxy

from infra.policy.pulumi_pack import stack_of
from scripts.engine import Engine, EngineFailedError
from tests.infra.program import ROOT

ENGINE_TIMEOUT_S = 240  # two previews of some seconds, on a busy machine


@pytest.mark.timeout(ENGINE_TIMEOUT_S)
def test_a_mandatory_violation_fails_the_preview_with_its_message(tmp_path: Path) -> None:
    text = (ROOT / "Pulumi.staging.yaml").read_text()
    risky = tmp_path / "Pulumi.staging.yaml"
    risky.write_text(text.replace("  coinslot:worker:\n", "  coinslot:worker:\n    replicas: 1\n"))
    with (tmp_path / "log").open("w") as log:
        engine = Engine(backend=tmp_path / "state", render_dir=tmp_path / "out", output=log)
        assert engine.run("preview", "staging").changes["create"] > 25
        with pytest.raises(EngineFailedError, match="preview of staging failed"):
            replace(engine, config_file=risky).run("preview", "staging")

    kept, broken = (tmp_path / "log").read_text().split("Previewing update (staging):")[1:]
    said = "more-than-one-pod: Deployment coinslot-worker runs with 1 pod. One pod is an outage"
    assert "[mandatory]" not in kept
    assert "[mandatory]  mandatory-rules" in broken
    assert said in " ".join(broken.split())


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
