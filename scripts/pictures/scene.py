"""Some minutes in the life of the service: a small load, and one thing after another goes wrong."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from simulator.faults import Kind, Target
from tests.live.merchants import BROKEN
from tests.live.stack import Live

MINUTE_S: Final = 60.0
SLOW_S: Final = 2.5  # above the limits of the latency's alerts, below the timeout of a call
REFUSED: Final = 500
NEXT_VERSION: Final = "next"

Step = Callable[[Live], Awaitable[None]]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Scene:
    """What happens from a minute on, as a share of the whole time."""

    share: float
    words: str
    step: Step


async def play(live: Live, minutes: float, tell: Tell) -> None:
    """Let it all happen within so many minutes; `tell` hears what begins."""
    began = time.monotonic()
    for scene in SCENES:
        await _until(began + scene.share * minutes * MINUTE_S)
        tell(scene.words)
        await scene.step(live)
    await _until(began + minutes * MINUTE_S)


async def _until(moment: float) -> None:
    await asyncio.sleep(max(moment - time.monotonic(), 0.0))


async def _nothing(_: Live) -> None:
    """Leave it to the load, which has declined cards, refunds and holds."""


async def _slow(live: Live) -> None:
    await live.control.fault(Target.CHARGE, Kind.DELAY, times=None, delay_s=SLOW_S)


async def _failing(live: Live) -> None:
    await live.control.clear_faults()
    await live.control.fault(Target.CHARGE, Kind.STATUS, times=40, status=REFUSED)


async def _silent(live: Live) -> None:
    """Charges are made and their answers are lost; some webhooks are forged."""
    await live.control.clear_faults()
    await live.control.fault(Target.CHARGE, Kind.TIMEOUT_AFTER, times=8)
    await live.control.fault(Target.WEBHOOK, Kind.WRONG_SIGNATURE, times=10)


async def _library_gone(live: Live) -> None:
    await live.control.fault(Target.GRANT, Kind.STATUS, times=None, status=REFUSED)
    live.merchants.answers[BROKEN] = REFUSED


async def _rollout(live: Live) -> None:
    """Everything works again, and a pod of the next version comes."""
    await live.control.clear_faults()
    live.spawn("second", "api", {"VERSION": NEXT_VERSION})
    live.discover()


SCENES: Final = (
    Scene(0.0, "all is well", _nothing),
    Scene(0.25, "the provider is slow", _slow),
    Scene(0.40, "the provider answers with errors", _failing),
    Scene(0.50, "answers of the provider are lost", _silent),
    Scene(0.60, "the Library is down, and a merchant", _library_gone),
    Scene(0.75, "all is well again, and the next version comes", _rollout),
)
