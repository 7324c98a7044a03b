"""Which event loop a role runs on."""

import asyncio
import sys

import pytest
import uvloop

from service.serve import new_event_loop


def test_a_role_runs_on_the_fast_loop_if_it_is_there() -> None:
    loop = new_event_loop()
    loop.close()
    assert isinstance(loop, uvloop.Loop)


def test_a_role_runs_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    loop = new_event_loop()
    loop.close()
    assert isinstance(loop, asyncio.SelectorEventLoop)
