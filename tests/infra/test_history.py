"""The stack's history, which is longer than the engine shows unasked."""

from pathlib import Path

import pytest

from scripts.deploy import releases
from scripts.deploy.engine import Engine
from tests.infra.tiny import tiny_root

UPDATES = 12
PAGE = 10
"""What the engine shows of a history without being asked for more."""


@pytest.mark.timeout(300)  # a run of some two seconds for each update, on a busy machine
def test_a_release_keeps_its_number_however_many_follow(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        engine = Engine(backend=tmp_path / "state", output=log, root=tiny_root(tmp_path / "root"))
        for number in range(1, UPDATES + 1):
            engine.run("up", "local", f"release {number}")
        engine.run("refresh", "local")

    history = engine.history("local")
    assert len(history) == UPDATES + 1 > PAGE
    assert [entry["message"] for entry in history[-2:]] == ["release 2", "release 1"]
    assert [each.number for each in releases.recorded(history)] == list(range(1, UPDATES + 1))
