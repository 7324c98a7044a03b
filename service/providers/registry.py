"""The configured providers, by name and in order of failover."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from service.domain.amounts import takes
from service.errors import ProviderUnavailableError
from service.providers.guard import GuardedProvider

RETRY_AFTER_S: Final = 60
"""A deployment with other settings takes about a minute."""


class Providers(Mapping[str, GuardedProvider]):
    """The providers of a process; the first is the default."""

    def __init__(self, providers: Sequence[GuardedProvider]) -> None:
        self._by_name = {provider.name: provider for provider in providers}

    def __getitem__(self, name: str) -> GuardedProvider:
        """Return the provider; raise ProviderUnavailableError for one that is not configured.

        Payments outlive settings: one made through it can't be captured or refunded for now.
        """
        try:
            return self._by_name[name]
        except KeyError:
            raise ProviderUnavailableError(
                f"{name} is not configured here", retry_after_s=RETRY_AFTER_S
            ) from None

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def choose(self, names: Sequence[str]) -> str:
        """Return the first of `names` that would take a payment now; if none would, the first.

        The caller then gets its error: a full provider, or an open breaker.
        """
        fit = [name for name in names if self._usable(name)]
        return next(iter(fit), names[0])

    def taking(self, names: Iterable[str], minor: int, currency: str) -> list[str]:
        """Return those of `names` that accept an amount, in their order."""
        return [name for name in names if takes(self._by_name[name].limits, minor, currency)]

    def any_usable(self, names: Sequence[str]) -> bool:
        """Return whether one of `names` would take a payment now."""
        return any(map(self._usable, names))

    def _usable(self, name: str) -> bool:
        provider = self._by_name[name]
        return provider.breaker.allows_call and provider.has_room
