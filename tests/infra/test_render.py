"""Generated files: what is compared, what is written, what is said."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from infra.stacks import STACKS
from scripts import console, generated, programs, render
from scripts.deploy import revisions, stack
from scripts.deploy.engine import Engine, Outcome
from scripts.programs import ProgramError
from tests.infra.program import ROOT
from tests.support.clones import home_with_logs

RENDER_TIMEOUT_S = 300  # one run of the engine, on a busy machine
CALL_TIMEOUT_S = 60  # one import of the SDK on a busy machine


def test_write_leaves_exactly_the_wanted_files(tmp_path: Path) -> None:
    committed = {"gen/old.yaml": "1", "gen/same.yaml": "2", "gen/stale.yaml": "3"}
    wanted = {"gen/same.yaml": "2", "gen/stale.yaml": "4", "gen/deep/new.yaml": "5"}
    (tmp_path / "gen").mkdir()
    for name, text in committed.items():
        (tmp_path / name).write_text(text)

    assert render.write(tmp_path, committed, wanted) == 3
    assert render.files_below(tmp_path, ["gen"]) == wanted


def test_what_the_generator_writes_is_what_is_compared() -> None:
    assert tuple(generated.WRITERS) == render.GENERATED


def test_a_difference_is_shown_with_its_file() -> None:
    diff = list(render.differences({"a": "1\n", "b": "x\n"}, {"a": "2\n", "c": "y\n"}))

    assert diff[:2] == ["--- a (committed)", "+++ a (generated)"]
    assert "-1" in diff
    assert "+2" in diff
    assert "+++ b (no longer generated)" in diff
    assert "--- c (missing)" in diff


@pytest.mark.parametrize(("diff", "code"), [([], 0), (["-old", "+new"], 1)])
def test_stale_files_are_exit_code_1(
    diff: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert render.report(diff, 3, "make render") == code
    captured = capsys.readouterr()
    assert ("fresh" in captured.out) is (code == 0)
    assert ("run `make render`" in captured.err) is (code == 1)


def test_the_last_word_names_what_happened() -> None:
    planned = Outcome("preview", "prod", {"create": 2, "same": 30, "delete": 0}, 4.0)
    nothing = Outcome("preview", "prod", {"same": 32}, 3.0)

    assert stack.summary(planned) == (
        "preview prod: 2 created, 30 unchanged (nothing done yet), 4.0 s"
    )
    assert stack.summary(nothing) == "preview prod: 32 unchanged, 3.0 s"
    assert nothing.unchanged
    assert not planned.unchanged


def test_a_missing_engine_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(programs, "BINARIES", tmp_path)

    with pytest.raises(ProgramError, match="run tools/bootstrap pulumi"):
        Engine().run("preview", "local")
    assert stack.main(["preview", "local"]) == console.USAGE
    assert "run tools/bootstrap pulumi" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("destroy", "prod"), "destroying prod needs --yes-destroy-prod"),
        (("preview", "dev"), "invalid choice: 'dev'"),
        (("explode", "local"), "invalid choice: 'explode'"),
        ((), "required: operation, stack"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...], message: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.deploy.stack", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=CALL_TIMEOUT_S,
        check=False,
    )

    assert done.returncode == console.USAGE
    assert message in done.stderr


@pytest.mark.parametrize("name", STACKS)
def test_no_secret_is_committed_in_plain_text(name: str) -> None:
    settings = yaml.safe_load((ROOT / f"Pulumi.{name}.yaml").read_text())["config"]

    for variable, value in settings.get("coinslot:secretValues", {}).items():
        assert set(value) == {"secure"}, f"{variable} in Pulumi.{name}.yaml is in plain text"


@pytest.mark.parametrize("name", STACKS)
def test_committed_secrets_are_placeholders(name: str) -> None:
    folder = ROOT / "infra" / "rendered" / name / "1-manifest"
    values = [
        text
        for file in folder.glob("v1-secret-*.yaml")
        for text in yaml.safe_load(file.read_text())["data"].values()
    ]

    assert len(set(values)) == (1 if name == "local" else 0), json.dumps(values)


@pytest.mark.timeout(RENDER_TIMEOUT_S)
def test_a_stack_is_rendered_without_its_passphrase_its_values_and_its_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    with revisions.detached() as root:
        shutil.copytree(root, tree, symlinks=True)
    document = yaml.safe_load((tree / "Pulumi.staging.yaml").read_text())
    document["encryptionsalt"] = "v1:of:another:passphrase"
    document["secretsprovider"] = "awskms://alias/nobody-here"
    document["config"] |= {
        "coinslot:target": "cluster",
        "coinslot:secrets": {"source": "stack"},
        "coinslot:secretValues": {"STRIPE_API_KEY": {"secure": "v1:cipher:text"}},
    }
    (tree / "Pulumi.staging.yaml").write_text(yaml.safe_dump(document))
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "unknown here")
    home = home_with_logs(tmp_path)
    monkeypatch.setenv("PULUMI_HOME", str(home))
    before = (tree / "Pulumi.staging.yaml").read_text()

    with revisions.detached(tree) as root:
        revisions.render(root, "staging", tmp_path / "out", "a test")

    (secret,) = (tmp_path / "out" / "staging" / "1-manifest").glob("v1-secret-*.yaml")
    assert "STRIPE_API_KEY" in yaml.safe_load(secret.read_text())["data"]
    assert (tree / "Pulumi.staging.yaml").read_text() == before
    assert not (home / "logs").exists(), "the engine's logs stay out of the caller's home"
