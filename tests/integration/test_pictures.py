"""Pictures from a real Prometheus."""

import asyncio
from pathlib import Path

import pytest
from PIL import Image

from dashboards import documents
from scripts import console
from scripts.embedded import LOOPBACK, free_port
from scripts.pictures import __main__ as command
from scripts.pictures import boards, png
from scripts.pictures.answers import ask
from scripts.pictures.variables import Span, scraped_s
from tests.support.prometheus import Target, prometheus, until_answered, until_scraped


async def test_a_dashboard_is_drawn_from_what_prometheus_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    itself = Target("coinslot-api", f"http://{LOOPBACK}:{port}", {"namespace": "shop"})
    async with prometheus(tmp_path / "prometheus", [itself], port=port) as running:
        await until_scraped(running)
        (point,) = await until_answered(running, "up")
        at = point.points[-1][0]
        span = Span(at - 60, at, await scraped_s(running))
        assert span.scrape_s == 1
        rollout = boards.read(documents()["coinslot-rollout"])
        shown = await ask(rollout, running, span)
        await command.draw_all([rollout], running, span, tmp_path, console.make())
    number = {one.title: one.number for one in rollout.panels}
    (line,) = shown.lines[number["Targets that answer"]]
    assert line.name == "coinslot-api"
    assert line.points[-1][1] == 1
    assert shown.lines[number["Processes"]] == ()  # it is no service of ours
    assert "coinslot-rollout: 11 panels" in capsys.readouterr().out
    path = tmp_path / "coinslot-rollout.png"
    assert png.digest(path) == rollout.digest
    with Image.open(path) as picture:
        assert len(picture.getcolors() or []) > 10


async def test_the_command_draws_what_a_given_prometheus_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with prometheus(tmp_path / "prometheus", []) as running:
        arguments = ["--prometheus", f"{running.url}/", "--minutes", "1", "--out", str(tmp_path)]
        only = ["--only", "coinslot-amounts", "coinslot-active"]
        assert await asyncio.to_thread(command.main, [*arguments, *only]) == 0
    assert {path.stem for path in tmp_path.glob("*.png")} == set(only[1:])
    assert "coinslot-amounts: 7 panels, 7 without data" in capsys.readouterr().out


async def test_an_expression_that_prometheus_refuses_is_told_with_its_panel(tmp_path: Path) -> None:
    text = documents()["coinslot-rollout"].replace("count(coinslot_build_info", "count((info", 1)
    async with prometheus(tmp_path, []) as running:
        with pytest.raises(command.FAILURES, match=r"coinslot-rollout, panel '.*': .*parse error"):
            await ask(boards.read(text), running, Span(1_800_000_000, 1_800_000_060, 15))
