"""Staging and prod: every difference is found, and each needs its reason."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import parity
from infra.parity import EXPECTED, Expected
from scripts import console
from scripts import parity as command
from scripts.parity import read
from tests.infra.program import ROOT


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Give a copy of both stacks' files and manifests."""
    for stack in ("staging", "prod"):
        shutil.copy(ROOT / f"Pulumi.{stack}.yaml", tmp_path)
        shutil.copytree(ROOT / "infra/rendered" / stack, tmp_path / "infra/rendered" / stack)
    return tmp_path


def edit(path: Path, change: Any) -> None:
    document = yaml.safe_load(path.read_text())
    change(document)
    path.write_text(yaml.safe_dump(document))


def test_every_committed_difference_has_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([]) == 0
    message = capsys.readouterr().out

    assert " differences, 0 without a reason" in message
    assert "settings settings.providers: simulator → stripe" in message


def test_a_setting_that_differs_by_accident_fails(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(
        clone / "Pulumi.staging.yaml",
        lambda d: d["config"]["coinslot:settings"].update(request_timeout_s=14),
    )

    assert command.main(["--root", str(clone)]) == command.DIFFERENT
    message = capsys.readouterr().out
    assert "1 without a reason" in message
    assert "settings settings.request_timeout_s: 14 → 15" in message


def test_encrypted_secrets_are_compared_without_a_key(clone: Path) -> None:
    sealed = {"JWT_SECRET": {"secure": "v1:abc:def"}}
    for stack in ("staging", "prod"):
        edit(
            clone / f"Pulumi.{stack}.yaml",
            lambda d: d["config"].update(
                {"coinslot:secrets": {"source": "stack"}, "coinslot:secretValues": sealed}
            ),
        )

    assert read(clone, "prod")[0].secret_values.keys() == {"JWT_SECRET"}
    assert command.main(["--root", str(clone)]) == 0


def test_a_file_that_is_none_is_named(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (clone / "Pulumi.prod.yaml").write_text("config: [")

    assert command.main(["--root", str(clone)]) == console.USAGE
    assert "Pulumi.prod.yaml of the working tree can't be read" in capsys.readouterr().err


def test_a_field_that_differs_by_accident_fails(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (budget,) = (clone / "infra/rendered/prod").rglob("policy_v1-*-api.yaml")
    edit(budget, lambda d: d["spec"].update(minAvailable=1))

    assert command.main(["--root", str(clone), "--json"]) == command.DIFFERENT
    (found,) = [
        one for one in json.loads(capsys.readouterr().out)["differences"] if not one["reason"]
    ]
    assert found == {
        "place": "PodDisruptionBudget coinslot-api",
        "path": "spec.minAvailable",
        "staging": 2,
        "prod": 1,
        "reason": None,
    }


def test_an_object_that_only_one_has_fails(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (policy,) = (clone / "infra/rendered/staging").rglob("*allow-scrape.yaml")
    policy.unlink()

    assert command.main(["--root", str(clone)]) == command.DIFFERENT
    assert "NetworkPolicy coinslot-allow-scrape: nothing → there" in capsys.readouterr().out


def test_a_reason_without_a_difference_fails(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(clone / "Pulumi.prod.yaml", lambda d: d["config"].pop("coinslot:priorityClass"))
    for path in (clone / "infra/rendered/prod").rglob("*.yaml"):
        path.write_text(
            path.read_text().replace("      priorityClassName: payments-critical\n", "")
        )

    assert command.main(["--root", str(clone), "--json"]) == command.DIFFERENT
    unused = json.loads(capsys.readouterr().out)["unused"]
    assert [text.partition(":")[0] for text in unused] == [
        "spec.template.spec.priorityClassName",
        "priorityClass",
    ]


def test_a_stack_that_is_wrong_is_wrong_usage(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(clone / "Pulumi.prod.yaml", lambda d: d["config"].pop("coinslot:image"))

    assert command.main(["--root", str(clone)]) == console.USAGE
    assert "coinslot:image is missing" in capsys.readouterr().err


def test_the_stacks_names_are_no_difference() -> None:
    found, _ = parity.compare(read(ROOT, "staging"), read(ROOT, "prod"), ())

    assert found
    assert not [one for one in found if "metadata.namespace" in one.path]
    assert not [one for one in found if one.path == "metadata.name"]


@pytest.mark.parametrize("entry", EXPECTED, ids=lambda entry: entry.paths[0])
def test_a_reason_is_a_sentence_and_covers_no_more_than_it_says(entry: Expected) -> None:
    assert entry.reason.endswith(".")
    assert len(entry.reason) > 30
    assert "*" not in entry.paths
    assert "*" not in entry.places
