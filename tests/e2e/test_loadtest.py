"""Load tests on the real platform: runs that pass, and runs that must not."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import uuid4

import aiohttp
import psutil
import pytest
import pytest_asyncio

from loadtest.money import SetUpError, check_money, check_ready
from loadtest.own import SETTINGS
from loadtest.plan import Plan
from loadtest.profile import Phase, Profile, Task
from loadtest.progress import Progress
from loadtest.resources import Sampler
from loadtest.results import Results
from loadtest.run import GENERATOR, IDENTITIES_A_USER, drive
from loadtest.verdict import Verdict, evaluate
from scripts.platform.embedded import free_port
from scripts.platform.launcher import Platform, platform

pytestmark = pytest.mark.asyncio(loop_scope="module")  # the platform is shared

PROFILE = Profile("tiny", "Seven seconds.", (Phase(2, 7),), (0.1, 0.3))
START_TIMEOUT_S = 90  # six processes on a busy machine
COMMAND = (sys.executable, "-m", "loadtest", "--profile", "smoke")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    folder = tmp_path_factory.mktemp("platform")
    async with platform(folder, durable=False, environ=os.environ | SETTINGS) as running:
        yield running


def nothing(_: object) -> None:
    """Show no progress."""


async def load(
    running: Platform,
    folder: Path,
    *,
    workers: int = 1,
    on_progress: Callable[[Progress | None], None] = nothing,
    sampler: Sampler | None = None,
) -> tuple[Results, Verdict]:
    people = (f"tiny-{uuid4().hex}" for _ in range(PROFILE.peak_users * IDENTITIES_A_USER))
    plan = Plan(PROFILE, tuple(running.token(user) for user in people), workers)
    results = await drive(plan, running.api_url, folder, on_progress, sampler)
    money = await check_money(running.api_url, running.token("evaluate", "payments:admin"), nothing)
    return results, evaluate(PROFILE, results, money, workers)


def failed(verdict: Verdict) -> set[str]:
    return {check.name for check in verdict.checks if not check.passed}


async def test_a_healthy_service_passes(running: Platform, tmp_path: Path) -> None:
    seen: list[Progress | None] = []
    _, verdict = await load(running, tmp_path, on_progress=seen.append)
    assert verdict.passed, failed(verdict)
    assert not (tmp_path / "plan.json").exists()
    assert any(one and one.users and one.requests_s and one.p95_ms for one in seen)


async def test_workers_share_the_load_and_their_counts_add_up(
    running: Platform, tmp_path: Path
) -> None:
    sampler = Sampler({})
    sampling = asyncio.create_task(sampler.run())
    results, verdict = await load(running, tmp_path, workers=2, sampler=sampler)
    sampling.cancel()
    assert verdict.passed, failed(verdict)
    assert results.peak_users == PROFILE.peak_users
    assert results.tasks[Task.PAY] == sum(one.pay.count for one in results.phases)
    assert results.workers == 2
    assert any(GENERATOR in sample.parts for sample in sampler.samples)


async def test_payments_that_fail_fail_the_run(running: Platform, tmp_path: Path) -> None:
    await running.simulator().fault("provider.charge", "status", status=400, times=None)
    _, verdict = await load(running, tmp_path)
    await running.simulator().clear_faults()
    assert {"failed requests", "payments made"} <= failed(verdict)


async def test_a_charge_that_nobody_here_knows_fails_the_run(
    running: Platform, tmp_path: Path
) -> None:
    """Our own books are right all the same: only a comparison with the provider's shows it."""
    body = {"amount": 500, "currency": "EUR", "capture": True, "payment_method": "pm_ok"}
    headers = {
        "Authorization": f"Bearer {running.environ['SIMULATOR_API_KEY']}",
        "Idempotency-Key": str(uuid4()),
    }
    async with (
        aiohttp.ClientSession(raise_for_status=True, headers=headers) as session,
        session.post(
            f"{running.simulator_url}/provider/v1/charges", json=body | {"reference": str(uuid4())}
        ),
    ):
        pass
    _, verdict = await load(running, tmp_path)
    assert failed(verdict) == {"open differences"}


async def test_without_a_service_there_is_no_run() -> None:
    with pytest.raises(SetUpError, match=r"nothing answers at .*make dev"):
        await check_ready(f"http://127.0.0.1:{free_port()}", "any-token")


async def test_a_token_that_is_refused_is_noticed_before_the_run(running: Platform) -> None:
    with pytest.raises(SetUpError, match=r"401 unauthenticated.*JWT_SECRET"):
        await check_ready(running.api_url, "not-a-token")


async def start(*arguments: str, cwd: Path) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, cwd=cwd, stdout=pipe, stderr=pipe
    )


async def start_own(folder: Path) -> asyncio.subprocess.Process:
    """Start a run on a platform of its own and wait until the load begins."""
    process = await start("--out", str(folder), cwd=folder)
    assert process.stderr is not None
    async with asyncio.timeout(START_TIMEOUT_S):
        while b"at most" not in (line := await process.stderr.readline()):
            assert line, "it ended before the load began"
    return process


async def end(process: asyncio.subprocess.Process) -> tuple[int | None, bytes]:
    """Return the exit code and what was said on stderr."""
    _, errors = await asyncio.wait_for(process.communicate(), START_TIMEOUT_S)
    return process.returncode, errors


async def test_the_command_ends_with_2_when_there_is_nothing_to_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JWT_SECRET", "a secret that is as long as HS256 wants")
    process = await start("--url", f"http://127.0.0.1:{free_port()}", cwd=tmp_path)
    code, errors = await end(process)
    assert code == 2
    assert b"loadtest: nothing answers at" in errors


async def test_the_command_notices_at_once_that_a_part_has_died(tmp_path: Path) -> None:
    process = await start_own(tmp_path)
    family = psutil.Process(process.pid).children(recursive=True)
    api = next(child for child in family if child.cmdline()[-3:] == ["-m", "service", "api"])
    api.kill()
    code, errors = await end(process)
    assert code == 1
    assert b"loadtest: api ended with exit code -9" in errors
    assert not (tmp_path / "report.json").exists()
    assert [path.name for path in (tmp_path / "platform").iterdir()] == ["logs"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_run_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = await start_own(tmp_path)
    family = psutil.Process(process.pid).children(recursive=True)
    assert family
    process.send_signal(number)
    code, errors = await end(process)
    assert code == 130, errors
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
