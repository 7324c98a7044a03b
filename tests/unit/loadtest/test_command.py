"""The command line: what it refuses, and what it makes of a target that dies."""

import asyncio

import pytest

from loadtest import __main__ as load
from loadtest import command
from loadtest.run import Target, TargetDiedError


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
        load.main(arguments)
    assert ended.value.code == command.NOT_RUN
    assert complaint in capsys.readouterr().err


async def test_a_part_that_dies_after_the_load_is_noticed_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checking = asyncio.Event()

    async def wait_for_ever(*_: object) -> None:
        checking.set()
        await asyncio.Event().wait()

    async def died() -> TargetDiedError:
        await checking.wait()
        return TargetDiedError("api ended")

    monkeypatch.setattr(command, "check_money", wait_for_ever)
    async with asyncio.timeout(10):
        with pytest.raises(TargetDiedError, match="api ended"):
            await command.money_after(Target("http://127.0.0.1:1", "secret", died), "token")
