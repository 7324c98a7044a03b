"""The Prometheus that live tests stand on: it scrapes, records, fires, and ends with its user."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from scripts.platform.embedded import LOOPBACK, free_port
from tests.support.prometheus import (
    Discovery,
    PrometheusError,
    Target,
    prometheus,
    until_answered,
    until_firing,
    until_scraped,
)

GROUP = {
    "name": "proof",
    "rules": [
        {"record": "proof:up:sum", "expr": "sum(up)"},
        {"alert": "ProofIsUp", "expr": 'up{team="proof"} == 1', "labels": {"severity": "none"}},
    ],
}
ENDLESS = """
import asyncio, sys
from pathlib import Path
from tests.support.prometheus import prometheus

async def main():
    async with prometheus(Path(sys.argv[1]), []) as running:
        print(running.url, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_it_scrapes_records_and_fires(tmp_path: Path) -> None:
    port = free_port()
    own = Target("own", f"http://{LOOPBACK}:{port}", {"team": "proof"})
    async with prometheus(tmp_path, [own], groups=[GROUP], port=port) as running:
        await until_scraped(running)
        (recorded,) = await until_answered(running, "proof:up:sum")
        assert (recorded.labels["__name__"], recorded.value) == ("proof:up:sum", 1.0)
        alert = await until_firing(running, "ProofIsUp")
        assert alert["labels"].items() >= {"severity": "none", "job": "own"}.items()
        (group,) = await running.groups()
        assert {rule["health"] for rule in group["rules"]} == {"ok"}
        at = recorded.points[-1][0]
        (past,) = await running.query_range("proof:up:sum", at - 2, at, 1)
        assert past.value == 1.0
        assert (await running.query("1 + 1"))[0].value == 2.0


async def test_targets_come_and_go(tmp_path: Path) -> None:
    port = free_port()
    own = Target("own", f"http://{LOOPBACK}:{port}", {"pod": "proof-1"})
    pods = Discovery(tmp_path / "pods.json")
    pods.publish([own])
    async with prometheus(tmp_path, [pods], port=port) as running:
        (found,) = await until_answered(running, "up")
        assert found.labels.items() >= {"job": "own", "pod": "proof-1"}.items()
        pods.publish([])
        await until_answered(running, "absent(up)")


async def test_what_it_refuses_is_told_in_its_own_words(tmp_path: Path) -> None:
    async with prometheus(tmp_path, []) as running:
        with pytest.raises(PrometheusError, match="parse error"):
            await running.query("sum(")


async def test_a_broken_rule_is_told_with_prometheus_words(tmp_path: Path) -> None:
    broken = {"name": "broken", "rules": [{"record": "a:b", "expr": "sum("}]}
    with pytest.raises(PrometheusError, match="prometheus ended with exit code"):
        async with prometheus(tmp_path, [], groups=[broken]):
            pytest.fail("it started")


def test_it_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ENDLESS, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline().startswith("http://")
        (child,) = [
            one for one in psutil.Process(parent.pid).children() if one.name() == "prometheus"
        ]
        os.kill(parent.pid, signal.SIGKILL)
    child.wait(timeout=30)
