"""Checkers of others: they find nothing without a waiver, and they would find something."""

import json
import os
import shutil
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.policy.rules import Waiver
from infra.stacks import STACKS
from scripts import console, policy, programs, schemas
from scripts.schemas import FOLDER, KUBERNETES, OPERATOR_FOLDER, VERSIONS
from tests.infra.broken_pods import RESTRICTED, SCORED
from tests.infra.program import ROOT
from tests.infra.stacks import API, BUDGET, Break, container, copied, get, spec

CALL_TIMEOUT_S = 120  # three versions and two programs on a busy machine
RENDERED = ROOT / "infra" / "rendered"


def folder_with(tmp_path: Path, damage: Break) -> Path:
    """Write staging's objects after some damage; return the folder."""
    stack = copied("staging")
    damage(stack)
    for number, obj in enumerate(stack.objects):
        (tmp_path / f"{number}.yaml").write_text(yaml.safe_dump(obj))
    return tmp_path


@pytest.mark.parametrize("stack", STACKS)
def test_nothing_is_found_without_a_waiver(stack: str) -> None:
    found = policy.violations(stack, RENDERED / stack)

    assert [str(violation) for violation in found if violation.waiver is None] == []
    assert {v.rule for v in found} >= {"kube-score/container-image-pull-policy"}


REFUSED: dict[str, tuple[Break, str]] = {
    "a field that is not there": (
        lambda s: spec(s, "Deployment").update(replica=3),
        "Deployment coinslot-api is refused: ",
    ),
    "a field of a container that is not there": (
        lambda s: container(s).update(enviroment=[]),
        "Deployment coinslot-api is refused: ",
    ),
    "a text in place of a number": (
        lambda s: spec(s, "Deployment").update(minReadySeconds="5"),
        "Deployment coinslot-api is refused: ",
    ),
    "a missing name": (
        lambda s: container(s).pop("name"),
        "Deployment coinslot-api is refused: ",
    ),
    "a wrong interval": (
        lambda s: spec(s, "ServiceMonitor", "coinslot")["endpoints"][0].update(interval="soon"),
        "ServiceMonitor coinslot is refused: ",
    ),
    "an alert without an expression": (
        lambda s: spec(s, "PrometheusRule", "coinslot")["groups"][0]["rules"][0].pop("expr"),
        "PrometheusRule coinslot is refused: ",
    ),
    "a version that no server has": (
        lambda s: get(s, BUDGET, API).update(apiVersion="policy/v1beta1"),
        "PodDisruptionBudget coinslot-api is refused: could not find schema",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_every_supported_version_refuses(case: str, tmp_path: Path) -> None:
    damage, output = REFUSED[case]
    folder = folder_with(tmp_path, damage)

    for version in KUBERNETES:
        found = [violation.message for violation in policy.kubeconform(folder, version)]
        assert [message for message in found if message.startswith(output)], found
        assert len(found) == 1


def test_kube_score_sees_what_is_wrong_and_ignores_what_an_object_says_itself(
    tmp_path: Path,
) -> None:
    def damage(stack: Any) -> None:
        container(stack)["resources"].pop("limits")
        annotations = {"kube-score/ignore": "container-resources"}
        get(stack, "Deployment", API)["metadata"]["annotations"] = annotations

    found = {
        violation.rule: violation
        for violation in policy.kube_score(folder_with(tmp_path, damage))
        if violation.object == "Deployment coinslot-api"
    }

    assert "kube-score/container-resources" in found
    assert "CPU limit is not set" in found["kube-score/container-resources"].message


@pytest.mark.parametrize("case", SCORED)
def test_kube_score_sees(case: str, tmp_path: Path) -> None:
    damage, check = SCORED[case]
    found = policy.kube_score(folder_with(tmp_path, damage))

    assert f"kube-score/{check}" in {violation.rule for violation in found}


@pytest.mark.parametrize("case", RESTRICTED)
def test_pod_security_refuses(case: str) -> None:
    damage, output = RESTRICTED[case]
    stack = copied("staging")
    damage(stack)
    found = [str(violation) for violation in policy.pod_security(stack)]

    wanted = f"pod-security/restricted: Deployment coinslot-api is refused: {output}"
    assert any(text.startswith(wanted) for text in found), found


def test_an_unused_waiver_of_a_checker_is_found() -> None:
    unused = Waiver("kube-score/stable-version", "*", "a try", date(2099, 1, 1), ("staging",))
    found = policy.violations("staging", RENDERED / "staging", (unused,))

    assert "covers nothing" in " ".join(v.message for v in found if v.rule == "waivers-hold")


def test_two_minor_versions_are_supported_and_every_kind_has_a_schema() -> None:
    assert len({version.rpartition(".")[0] for version in KUBERNETES}) >= 2
    for kind, version in VERSIONS.items():
        group, _, name = version.rpartition("/")
        file = schemas.file_name(group, name, kind)
        folders = [OPERATOR_FOLDER] if group.startswith("monitoring") else KUBERNETES
        for folder in folders:
            assert (ROOT / FOLDER / folder / file).is_file(), f"{folder}/{file}: make schemas"


def test_the_schemas_are_those_that_the_modules_hold(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Only where the modules have been fetched before: this test asks no network for 150 MB."""
    offline = {**os.environ, "GOPROXY": "off"}
    found = subprocess.run(
        [ROOT / "tools" / "bootstrap", "schemas"],
        env=offline, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    if found.returncode:
        pytest.skip("the modules have not been fetched: make schemas")
    assert schemas.main(["--check"]) == 0, capsys.readouterr().err


def test_the_command_judges_and_says_so_by_its_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert policy.main(["staging"]) == 0
    assert "staging: 0 violated, " in capsys.readouterr().out

    shutil.copytree(RENDERED / "staging", tmp_path / "staging")
    for path in (tmp_path / "staging").rglob("policy_v1-*worker.yaml"):
        path.unlink()
    assert policy.main(["staging", "--manifests", str(tmp_path), "--json"]) == policy.VIOLATED
    (answer,) = json.loads(capsys.readouterr().out)["stacks"]
    wrong = [v for v in answer["violations"] if v["waiver"] is None]
    assert {v["rule"] for v in wrong} == {"kube-score/deployment-has-poddisruptionbudget"}

    assert policy.main(["prod", "--manifests", str(tmp_path)]) == console.USAGE
    assert "make render" in capsys.readouterr().err


def test_a_missing_checker_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(programs, "BINARIES", tmp_path)

    assert policy.main(["staging"]) == console.USAGE
    assert "run tools/bootstrap kube-score" in capsys.readouterr().err
