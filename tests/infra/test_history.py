"""The stack's history, which is longer than the engine shows unasked."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from scripts.deploy import releases
from scripts.deploy.engine import Engine, EngineFailedError, Event
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


class Unsettled:
    """A watcher that sees an update fail which the engine calls a success."""

    def look(self, events: Sequence[Event]) -> None:
        pass

    def failed(self, events: Sequence[Event]) -> None:
        raise AssertionError(events)

    def succeeded(self, _: Sequence[Event]) -> None:
        raise EngineFailedError("Deployment shop, pod shop-1: not ready")


def test_an_update_that_has_failed_after_its_end_stands_as_failed(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        engine = Engine(backend=tmp_path / "state", output=log, root=tiny_root(tmp_path / "root"))
        engine.run("up", "local", "the first")
        with pytest.raises(EngineFailedError, match="pod shop-1: not ready"):
            engine.run("up", "local", "the second", Unsettled())
        engine.run("up", "local", "the third")
    made = releases.recorded(engine.history("local"))
    assert [each.result for each in made] == ["succeeded", "failed", "succeeded"]
