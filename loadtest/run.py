"""Drives locust against a service, then waits until the service has finished what was begun."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from loadtest.plan import Plan
from loadtest.results import Results, read
from loadtest.verdict import Money

LOCUSTFILE: Final = Path(__file__).with_name("locustfile.py")
IDENTITIES_A_USER: Final = 2
"""Each owns 500 games at most, so twice the users at the peak make 1,000 payments a user."""

START_TIMEOUT_S: Final = 30.0  # importing locust and gevent on a busy machine, both ends of the run
FINISH_TIMEOUT_S: Final = 20  # the slowest request that a user may still wait for at the end
IDLE_TIMEOUT_S: Final = 120.0  # a full outbox drains in seconds; an unknown outcome takes more
IDLE_POLL_S: Final = 0.5  # as often as the workers poll
ANSWER_TIMEOUT_S: Final = 15.0  # the invariants read whole tables after a long run
TICK_S: Final = 1.0
LAST_LINES: Final = 12


class SetUpError(Exception):
    """The load could not be applied, so there are no results; the message says why."""


class TargetDiedError(Exception):
    """A part of the service ended during the run; the message has its last lines."""


@dataclass(frozen=True)
class Target:
    """The service under load; `died` ends only when a part of it that is ours has died."""

    url: str
    secret: str
    died: Callable[[], Coroutine[Any, Any, TargetDiedError]] | None = None


Progress = Callable[[float], None]


async def drive(plan: Plan, url: str, folder: Path, progress: Progress) -> Results:
    """Carry out the plan against `url` and return what was measured; raise SetUpError.

    `folder` gets locust's log and raw result; `progress` is called each second with the seconds
    since the start.
    """
    result_file, plan_file = folder / "locust.json", folder / "plan.json"
    result_file.unlink(missing_ok=True)
    log = folder / "locust.log"
    limit_s = plan.profile.duration_s + FINISH_TIMEOUT_S + START_TIMEOUT_S
    plan.write(plan_file)
    try:
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *_command(url, plan_file, result_file),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
            )
            await _watch(process, limit_s, progress)
    finally:
        plan_file.unlink(missing_ok=True)
    if process.returncode or not result_file.exists():
        raise SetUpError(f"locust ended with {process.returncode}; {log} ends with:\n{_tail(log)}")
    return read(result_file)


async def check_ready(url: str, admin_token: str) -> None:
    """Raise SetUpError unless a service that is ready, and takes our tokens, answers at `url`."""
    async with _session() as session:
        try:
            async with session.get(f"{url}/health/ready") as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise SetUpError(
                f"nothing answers at {url} ({reason}); `make dev` starts it"
            ) from error
    if status != 200:  # noqa: PLR2004  the answer of a service that is ready
        raise SetUpError(f"{url}/health/ready answers {status}; wait until the service is ready")
    async with _session() as session:
        await _read_money(session, url, admin_token)


async def wait_until_idle(url: str, admin_token: str) -> Money:
    """Wait, for a while, until nothing is pending; return the money checks."""
    deadline = asyncio.get_running_loop().time() + IDLE_TIMEOUT_S
    async with _session() as session:
        while True:
            money = await _read_money(session, url, admin_token)
            late = asyncio.get_running_loop().time() > deadline
            if late or not any(money.pending.values()):
                return money
            await asyncio.sleep(IDLE_POLL_S)  # there is no event to wait for across HTTP


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S))


async def _read_money(session: aiohttp.ClientSession, url: str, admin_token: str) -> Money:
    headers = {"Authorization": f"Bearer {admin_token}"}
    try:
        async with session.get(f"{url}/v1/admin/invariants", headers=headers) as answer:
            body: dict[str, Any] = await answer.json(content_type=None)
            if answer.status == 200:  # noqa: PLR2004  the only success of a GET here
                return Money(body["invariants"], body["pending"])
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise SetUpError(f"the invariants at {url} cannot be read: {_reason(error)}") from error
    raise SetUpError(
        f"the invariants at {url} are not shown: {answer.status} {body.get('code', '')}; "
        "does the service accept our tokens (JWT_SECRET)?"
    )


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__  # a TimeoutError has no text


def _command(url: str, plan_file: Path, result_file: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "locust", "--locustfile", str(LOCUSTFILE)),
        *("--headless", "--only-summary", "--host", url),
        *("--stop-timeout", str(FINISH_TIMEOUT_S)),
        *("--exit-code-on-error", "0"),  # failed requests are for the verdict
        *("--plan-file", str(plan_file), "--result-file", str(result_file)),
    ]


async def _watch(process: asyncio.subprocess.Process, limit_s: float, progress: Progress) -> None:
    """Wait until locust ends; past the limit, or when we are canceled, end it."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    ending = asyncio.create_task(process.wait())
    try:
        while not ending.done():
            elapsed = loop.time() - start
            if elapsed > limit_s:
                raise SetUpError(f"locust still runs after {limit_s:.0f} s")
            progress(elapsed)
            await asyncio.wait({ending}, timeout=TICK_S)
    finally:
        if not ending.done():
            process.kill()
        await ending


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:])
