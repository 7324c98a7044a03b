"""Money: integer minor units and an ISO 4217 currency; never a float."""

from dataclasses import dataclass
from typing import Final, Self

CURRENCIES: Final = {"EUR": 2, "GBP": 2, "JPY": 0, "USD": 2}
"""Currencies of prices, with the digits of their minor unit (ISO 4217)."""

MAX_MINOR: Final = 10**12
"""Far above any order and far below bigint, so that no sum of ours can overflow."""


class CurrencyMismatchError(ValueError):
    """Two amounts of different currencies were put together."""


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount in minor units (cents) of a currency; negative only in ledger entries."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        if self.currency not in CURRENCIES:
            raise ValueError(f"unknown currency {self.currency!r}")
        if not -MAX_MINOR <= self.minor <= MAX_MINOR:
            raise ValueError(f"amount {self.minor} is beyond {MAX_MINOR}")

    def __add__(self, other: Self) -> "Money":
        self._same_currency(other)
        return Money(self.minor + other.minor, self.currency)

    def __sub__(self, other: Self) -> "Money":
        self._same_currency(other)
        return Money(self.minor - other.minor, self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.minor, self.currency)

    def __mul__(self, times: int) -> "Money":
        return Money(self.minor * times, self.currency)

    def __str__(self) -> str:
        digits = CURRENCIES[self.currency]
        sign, whole = ("-" if self.minor < 0 else ""), abs(self.minor)
        if not digits:
            return f"{sign}{whole} {self.currency}"
        return f"{sign}{whole // 10**digits}.{whole % 10**digits:0{digits}} {self.currency}"

    def _same_currency(self, other: Self) -> None:
        if self.currency != other.currency:
            raise CurrencyMismatchError(f"{self.currency} and {other.currency}")
