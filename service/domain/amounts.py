"""Which amounts a provider takes, by currency."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from service.domain.money import Money


@dataclass(frozen=True, slots=True)
class AmountRange:
    """From `least` to `most` minor units, both included."""

    least: int
    most: int

    def __contains__(self, minor: int) -> bool:
        """Return whether an amount lies within."""
        return self.least <= minor <= self.most


AmountLimits = Mapping[str, AmountRange]
"""By currency; one that is missing is not taken at all."""


def takes(limits: AmountLimits, minor: int, currency: str) -> bool:
    """Return whether an amount may be charged; `minor` may be any integer."""
    return currency in limits and minor in limits[currency]


def described(every: Iterable[AmountLimits], currency: str) -> str:
    """Describe what can be paid in a currency."""
    ranges = [limits[currency] for limits in every if currency in limits]
    if not ranges:
        return f"Nothing can be paid in {currency}"
    least, most = min(each.least for each in ranges), max(each.most for each in ranges)
    return f"Orders go from {Money(least, currency)} to {Money(most, currency)}"
