"""The command line: what it refuses, and what it makes of a target that dies."""

import asyncio
from pathlib import Path
from typing import NoReturn

import pytest

from loadtest import __main__ as command
from loadtest.plan import Plan
from loadtest.profile import SMOKE
from loadtest.resources import Sampler
from loadtest.results import Results, parse
from loadtest.run import Target, TargetDiedError
from tests.unit.loadtest.examples import raw_run


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--profile", "standard"], "invalid choice"),
        (["--workers", "0"], "0 is not a number from 1 to"),
        (["--workers", "many"], "many is not a number from 1 to"),
        (["--ops-url", "http://127.0.0.1:9464"], "--ops-url goes with --url"),
    ],
)
def test_wrong_options_end_with_2(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == command.NOT_RUN
    assert complaint in capsys.readouterr().err


async def test_a_part_that_dies_after_the_load_is_noticed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = asyncio.Event()

    async def drive(*_: object) -> Results:
        loaded.set()
        return parse(raw_run(), SMOKE)

    async def wait_for_ever(*_: object) -> NoReturn:
        await asyncio.Event().wait()
        raise AssertionError

    async def died() -> TargetDiedError:
        await loaded.wait()
        return TargetDiedError("api ended")

    monkeypatch.setattr(command, "drive", drive)
    monkeypatch.setattr(command, "check_money", wait_for_ever)
    target = Target("http://127.0.0.1:1", "secret", died)
    work = command._load_and_check(Plan(SMOKE, ()), target.url, "token", tmp_path, Sampler({}))
    async with asyncio.timeout(10):
        with pytest.raises(TargetDiedError, match="api ended"):
            await command._unless_it_dies(work, target)
