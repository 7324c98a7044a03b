"""Double entry: each movement of money as entries that sum to zero. Debit > 0, credit < 0."""

from dataclasses import dataclass
from typing import Literal

from service.domain.money import Money

TransactionKind = Literal[
    "capture",
    "refund",
    "refund_reversal",
    "capture_reversal",
    "dispute_withdrawal",
    "dispute_reinstatement",
    "dispute_loss",
    "dispute_loss_reversal",
]
"""What moved money."""

SALES = "sales:games"
DISPUTE_LOSSES = "losses:disputes"


@dataclass(frozen=True, slots=True)
class Entry:
    """One side of a movement."""

    account: str
    amount: Money


def provider_account(provider: str) -> str:
    """Return the account of what a provider owes us."""
    return f"provider:{provider}"


def capture(provider: str, amount: Money) -> tuple[Entry, Entry]:
    """Money came in: the provider owes it to us, and we have sold games."""
    return Entry(provider_account(provider), amount), Entry(SALES, -amount)


def capture_reversal(provider: str, amount: Money) -> tuple[Entry, Entry]:
    """Money was taken back: the sale is undone, and the provider owes us nothing for it."""
    return Entry(SALES, amount), Entry(provider_account(provider), -amount)


def refund_reversal(provider: str, amount: Money) -> tuple[Entry, Entry]:
    """Money that went back came in again: the provider owes it to us, and the sale stands."""
    return Entry(provider_account(provider), amount), Entry(SALES, -amount)


def refund(provider: str, amount: Money) -> tuple[Entry, Entry]:
    """Money went back: the sale is undone, and the provider owes us less."""
    return Entry(SALES, amount), Entry(provider_account(provider), -amount)


def dispute_account(provider: str) -> str:
    """Return the account of what a provider withholds until disputes are decided."""
    return f"disputes:{provider}"


def dispute_withdrawal(provider: str, amount: Money) -> tuple[Entry, Entry]:
    """Disputed money was taken from us: we may get it back."""
    return Entry(dispute_account(provider), amount), Entry(provider_account(provider), -amount)


def dispute_reinstatement(provider: str, amount: Money) -> tuple[Entry, Entry]:
    """Disputed money came back to us."""
    return Entry(provider_account(provider), amount), Entry(dispute_account(provider), -amount)


def dispute_loss(provider: str, amount: Money) -> tuple[Entry, Entry]:
    """Withheld money will not come back: the dispute is lost."""
    return Entry(DISPUTE_LOSSES, amount), Entry(dispute_account(provider), -amount)


def dispute_loss_reversal(provider: str, amount: Money) -> tuple[Entry, Entry]:
    """Withheld money may come back after all: the dispute goes on."""
    return Entry(dispute_account(provider), amount), Entry(DISPUTE_LOSSES, -amount)
