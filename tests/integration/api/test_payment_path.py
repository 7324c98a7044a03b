"""How a payment runs through the modules: one way, and not to and fro."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from service.api import payments
from tests.integration.api.conftest import Api

SERVICE = f"{Path(payments.__file__).parents[1]}/"
COMMON = ("clock", "domain/money", "ids", "logs", "metric", "retry", "views", "web/")
"""What every module may call, and what calls none of them back."""

MOST_RETURNS = 15


@contextmanager
def calls_under(handler: str) -> Iterator[list[str]]:
    """Collect the modules that a handler's calls enter from another one, in order."""
    entered = ["api/payments.py"]
    seen: set[FrameType] = set()  # a coroutine that goes on is no call

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event != "call" or frame in seen or not frame.f_code.co_filename.startswith(SERVICE):
            return
        seen.add(frame)
        callers: list[FrameType] = []
        caller = frame.f_back
        while caller:
            callers.append(caller)
            caller = caller.f_back
        ours = [each.f_code for each in callers if each.f_code.co_filename.startswith(SERVICE)]
        if handler in {code.co_name for code in ours}:
            module = frame.f_code.co_filename.removeprefix(SERVICE)
            if ours[0].co_filename != frame.f_code.co_filename and not module.startswith(COMMON):
                entered.append(module)

    sys.setprofile(note)
    try:
        yield entered
    finally:
        sys.setprofile(None)


async def test_a_payment_goes_one_way(api: Api) -> None:
    async with api.client() as ada:
        order = await ada.order(["game-1"])
        with calls_under("create_payment") as entered:
            assert (await ada.pay(order["id"])).expect(201).body["status"] == "succeeded"
    assert [module for module in entered if module.startswith("usecases/")] == [
        "usecases/payments.py",
        "usecases/idempotency.py",
        "usecases/attempts.py",
        "usecases/record_outcome.py",
    ]
    returns = [module for n, module in enumerate(entered) if module in entered[:n]]
    assert len(returns) <= MOST_RETURNS, entered
