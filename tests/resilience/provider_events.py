"""Events at the provider that our API did not cause: its dashboard, and the buyer's bank."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, NamedTuple

from simulator.client import Control

PART_MINOR: Final = 200
State = dict[str, Any]
"""What the simulator has on record."""

OPEN: Final = frozenset({"warning", "needs_response", "under_review"})
WITHHOLDING: Final = frozenset({"needs_response", "under_review", "lost"})
TO_DECIDE: Final = frozenset({"needs_response", "under_review"})
FROM: Final = {
    "submit": frozenset({"needs_response"}),
    "win": TO_DECIDE,
    "lose": TO_DECIDE,
    "escalate": frozenset({"warning", "warning_closed", "won", "lost"}),
    "close": frozenset({"warning"}),
}
"""The statuses in which a bank does that."""


class Act(NamedTuple):
    """An action, and the records that allow it, the latest last."""

    subjects: Callable[[State], Iterator[str]]
    do: Callable[[Control, str], Awaitable[Any]]


def _refundable(state: State) -> Iterator[str]:
    withheld = {each["charge"] for each in state["disputes"] if each["status"] in WITHHOLDING}
    for charge in state["charges"]:
        left = charge["amount_captured"] - charge["amount_refunded"]
        if left >= PART_MINOR and charge["id"] not in withheld:
            yield charge["id"]


def _disputable(state: State) -> Iterator[str]:
    """Yield charges that took money and of which no dispute is open: banks merge those."""
    disputed = {each["charge"] for each in state["disputes"] if each["status"] in OPEN}
    for charge in state["charges"]:
        if charge["amount_captured"] and charge["id"] not in disputed:
            yield charge["id"]


def _of_status(kind: str, *statuses: str) -> Callable[[State], Iterator[str]]:
    return lambda state: (each["id"] for each in state[kind] if each["status"] in statuses)


def _withdrawable(state: State) -> Iterator[str]:
    for dispute in state["disputes"]:
        if dispute["withdrawn"] == dispute["reinstated"] and dispute["status"] in WITHHOLDING:
            yield dispute["id"]


def _reinstatable(state: State) -> Iterator[str]:
    for dispute in state["disputes"]:
        if dispute["withdrawn"] > dispute["reinstated"]:
            yield dispute["id"]


def _change(action: str) -> Callable[[Control, str], Awaitable[Any]]:
    return lambda control, dispute: control.change_dispute(dispute, action)


_held, _taken = _of_status("charges", "authorized"), _of_status("charges", "succeeded")
DASHBOARD: Final = {
    "refund": Act(_refundable, Control.refund),
    "refund_part": Act(_refundable, lambda control, id_: control.refund(id_, PART_MINOR)),
    "capture": Act(_held, Control.capture),
    "capture_part": Act(_held, lambda control, id_: control.capture(id_, PART_MINOR)),
    "send_back": Act(_of_status("refunds", "succeeded"), Control.fail_refund),
    "fail": Act(_taken, Control.fail_charge),
}
BANK: Final = {
    "dispute": Act(_disputable, Control.dispute),
    "dispute_part": Act(_disputable, lambda control, id_: control.dispute(id_, amount=PART_MINOR)),
    "inquire": Act(_disputable, lambda control, id_: control.dispute(id_, inquiry=True)),
    "warn": Act(_taken, Control.warn),
    "withdraw": Act(_withdrawable, _change("withdraw")),
    "reinstate": Act(_reinstatable, _change("reinstate")),
    **{
        action: Act(_of_status("disputes", *statuses), _change(action))
        for action, statuses in FROM.items()
    },
}
ACTS: Final = {**DASHBOARD, **BANK}


def of_charge(state: State, reference: str) -> str | None:
    """Return the charge of a payment that its buyer can dispute."""
    disputable = set(_disputable(state))
    for charge in state["charges"]:
        if charge["reference"] == reference and charge["id"] in disputable:
            return str(charge["id"])
    return None
