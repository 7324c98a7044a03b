"""Double entry: each movement of money as entries that sum to zero. Debit > 0, credit < 0."""

from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

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

SALES: Final = "sales:games"
LOSSES: Final = "losses:disputes"
PROVIDER: Final = "provider:{}"
"""What a provider owes us."""
WITHHELD: Final = "disputes:{}"
"""What a provider withholds until disputes are decided."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One side of a movement."""

    account: str
    amount: Money


def _entries(debit: str, credit: str, provider: str, amount: Money) -> tuple[Entry, Entry]:
    return Entry(debit.format(provider), amount), Entry(credit.format(provider), -amount)


capture: Final = partial(_entries, PROVIDER, SALES)
"""Money came in: the provider owes it to us, and we have sold games."""
refund: Final = partial(_entries, SALES, PROVIDER)
"""Money went back: the sale is undone, and the provider owes us less."""
capture_reversal: Final = refund
"""The provider took money back: the sale is undone, and it owes us nothing for it."""
refund_reversal: Final = capture
"""A refund came back: the provider owes it to us, and the sale is valid again."""
dispute_withdrawal: Final = partial(_entries, WITHHELD, PROVIDER)
"""Disputed money was taken from us: we may get it back."""
dispute_reinstatement: Final = partial(_entries, PROVIDER, WITHHELD)
"""Disputed money came back to us."""
dispute_loss: Final = partial(_entries, LOSSES, WITHHELD)
"""Withheld money will not come back: the dispute is lost."""
dispute_loss_reversal: Final = partial(_entries, WITHHELD, LOSSES)
"""Withheld money may come back after all: the dispute goes on."""
