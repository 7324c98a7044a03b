"""Whether a stack exists: of a folder on this machine the engine is not asked."""

import json
from pathlib import Path

import pytest

from scripts import programs
from scripts.deploy import engine
from scripts.deploy.engine import Engine
from scripts.programs import ProgramError


@pytest.fixture(autouse=True)
def _no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "BINARIES", tmp_path / "none")


def state_of(stack: str, folder: Path) -> Path:
    file = folder / ".pulumi" / "stacks" / "coinslot" / f"{stack}.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"version": 3}))
    return folder


def test_the_clones_own_state_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "OWN_STATE", state_of("prod", tmp_path))

    assert Engine(environ={}).exists("prod")


def test_a_clone_without_a_state_has_no_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "OWN_STATE", tmp_path / "new")

    assert not Engine(environ={}).exists("prod")


def test_a_backend_elsewhere_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "OWN_STATE", state_of("prod", tmp_path))

    with pytest.raises(ProgramError, match="run tools/bootstrap pulumi"):
        Engine(environ={"PULUMI_BACKEND_URL": "s3://states"}).exists("prod")
