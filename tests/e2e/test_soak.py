"""A short endurance run on the real platform, whose API leaks: the verdict finds what leaks."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from loadtest.soak import Options, soak
from scripts.platform.launcher import start_role
from scripts.platform.processes import Child

pytestmark = pytest.mark.timeout(240)

SECONDS = 36.0  # 27 after the warm-up
REQUESTS = 4  # of a flow: order, payment, look, and the webhook that the provider sends
RATE = 10.0  # with which a machine that is busy with other tests keeps up


def start_leaky(role: str, settings: Mapping[str, str], log: Path) -> Child:
    module = ("tests.support.leaky",) if role == "api" else ("service",)
    return start_role(role, settings, log, module=module)


async def test_a_planted_leak_of_memory_and_descriptors_is_found(tmp_path: Path) -> None:
    report = await soak(
        Options("soak-test", RATE, SECONDS, tmp_path, tmp_path, json=False, start=start_leaky)
    )
    risen = {measure.name for measure in report.measures if measure.leaks}
    assert {"memory of api", "open descriptors of api"} <= risen
    assert not risen & {
        "open descriptors of worker",
        "event-loop tasks of worker",
        "database connections",
    }
    assert not report.verdict.passed  # also where a busy machine lets the load generator be late
    by_name = {measure.name: measure.trend for measure in report.measures}
    descriptors = by_name["open descriptors of api"]
    assert descriptors is not None
    assert descriptors.slope / 3_600 == pytest.approx(RATE * REQUESTS / 5, rel=0.35)
