"""The real engine: lives of stacks, in a state and a folder that are thrown away.

Each step of the engine takes seconds, so one test walks through them all. The stack `prod` is here
as anybody would run it, `local` with a manual change, and `staging` in test_operations.py.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from infra import labels, policy
from infra.policy.objects import load
from infra.stacks import RENDER_DIR_VARIABLE
from scripts.deploy.engine import Engine, EngineFailedError
from scripts.render import files_below
from tests.infra.program import ROOT

ENGINE_TIMEOUT_S = 300  # six runs of a few seconds each, on a busy machine


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Give an engine with a state and a folder of its own; its words are in the file `log`."""
    with (tmp_path / "log").open("w") as log:
        yield Engine(backend=tmp_path / "state", render_dir=tmp_path / "out", output=log)


@pytest.mark.timeout(ENGINE_TIMEOUT_S)
def test_a_stack_lives_and_ends(engine: Engine, tmp_path: Path) -> None:
    planned = engine.run("preview", "prod")
    assert planned.changes["create"] > 25
    assert not (tmp_path / "out").exists()
    assert "[mandatory]" not in (tmp_path / "log").read_text()

    made = engine.run("up", "prod")
    assert made.changes == planned.changes
    assert policy.violations(load(tmp_path / "out" / "prod")) == []

    state = engine.export("prod")
    assert engine.run("preview", "prod").unchanged
    assert engine.export("prod") == state
    assert engine.run("refresh", "prod").unchanged

    gone = engine.run("destroy", "prod")
    assert gone.changes == {"delete": made.changes["create"]}
    assert files_below(tmp_path / "out", ["prod"]) == {}


@pytest.mark.timeout(ENGINE_TIMEOUT_S)
def test_secrets_stay_out_and_a_manual_change_is_seen(engine: Engine, tmp_path: Path) -> None:
    # A relative folder, as the committed stacks have it, starts from the program's folder.
    relative = os.path.relpath(tmp_path / "out", ROOT / "infra")
    environ = {**os.environ, RENDER_DIR_VARIABLE: relative}
    engine = replace(engine, render_dir=None, environ=environ, throw_away=True)
    planned = engine.run("preview", "local")
    assert files_below(tmp_path / "out", ["local"]) == {}
    assert engine.run("up", "local").changes == planned.changes
    made = files_below(tmp_path / "out", ["local"])
    state = json.dumps(engine.export("local"))
    assert labels.PLACEHOLDER not in state  # even a placeholder is encrypted, being a Secret's
    assert "ciphertext" in state

    assert engine.run("refresh", "local").unchanged, "a folder has no drift"
    assert files_below(tmp_path / "out", ["local"]) == made
    engine.run("destroy", "local")
    assert files_below(tmp_path / "out", ["local"]) == {}


@pytest.mark.timeout(ENGINE_TIMEOUT_S)
def test_wrong_settings_end_in_one_clear_message(engine: Engine, tmp_path: Path) -> None:
    text = (ROOT / "Pulumi.prod.yaml").read_text()
    wrong = tmp_path / "Pulumi.prod.yaml"
    wrong.write_text(text.replace("maxConnections: 500", "maxConections: 500"))
    with pytest.raises(EngineFailedError, match="preview of prod failed"):
        replace(engine, config_file=wrong, throw_away=True).run("preview", "prod")

    message = (tmp_path / "log").read_text()
    assert "did you mean coinslot:database.maxConnections?" in message
    assert "coinslot:database.maxConnections is missing; expected a whole number" in message
    assert "Traceback" not in message
