"""Pictures of dashboards, drawn from a real Prometheus."""

import asyncio
import warnings
from pathlib import Path

import pytest
from PIL import Image

from scripts.platform.embedded import LOOPBACK, free_port
from tests.live import pictures
from tests.support.prometheus import Target, prometheus, until_answered

ROLLOUT = "coinslot-rollout"


async def test_the_command_draws_what_a_given_prometheus_knows(tmp_path: Path) -> None:
    port = free_port()
    itself = Target("coinslot-api", f"http://{LOOPBACK}:{port}", {"namespace": "shop"})
    options = ["--minutes", "1", "--out", str(tmp_path), "--only", ROLLOUT]
    async with prometheus(tmp_path / "prometheus", [itself], port=port) as running:
        await until_answered(running, "up")
        options += ["--prometheus", running.url]
        assert await asyncio.to_thread(pictures.main, options) == 0
    shown = pictures.shipped()[ROLLOUT]
    assert pictures.stale({ROLLOUT: shown}, tmp_path) == []
    assert len(pictures.stale({ROLLOUT: f"{shown} ", "gone": shown}, tmp_path)) == 2
    with Image.open(tmp_path / f"{ROLLOUT}.png") as picture:
        assert len(picture.getcolors(1 << 20) or []) > 10


async def test_an_expression_that_prometheus_refuses_is_reported_with_its_panel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = pictures.shipped()[ROLLOUT].replace("count(", "count((", 1)
    (tmp_path / f"{ROLLOUT}.json").write_text(broken)
    monkeypatch.setattr(pictures, "SHIPPED", tmp_path)
    async with prometheus(tmp_path, []) as running:
        options = ["--prometheus", running.url, "--out", str(tmp_path)]
        assert await asyncio.to_thread(pictures.main, options) == 1
    error = capsys.readouterr().err
    assert f"{ROLLOUT}, panel '" in error
    assert "parse error" in error


def test_pictures_that_are_older_than_their_dashboards_are_reported() -> None:
    """A warning: new pictures take minutes, and a fixed expression shall not wait for them."""
    assert {path.stem for path in pictures.PICTURES.glob("*.png")} == pictures.shipped().keys()
    for text in pictures.stale(pictures.shipped(), pictures.PICTURES):
        warnings.warn(text, stacklevel=1)


def test_a_value_is_written_in_its_unit() -> None:
    assert pictures.text(0.1234, "percentunit") == "12.3%"
    assert [pictures.text(value, "s") for value in (0.0415, 5400)] == ["41.5 ms", "1.5 hours"]
    assert pictures.text(2.5e6, "bytes") == "2.5 MB"
    assert [pictures.text(4.75, unit) for unit in ("ops", "suffix:x")] == ["4.75 ops/s", "4.75 x"]
    assert pictures.text(78200, "short") == "78.2 k"
