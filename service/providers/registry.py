"""The configured providers, by name and in order of preference."""

from collections.abc import Iterator, Mapping, Sequence

from service.providers.guard import GuardedProvider


class Providers(Mapping[str, GuardedProvider]):
    """The providers of a process; the first is the most wanted."""

    def __init__(self, providers: Sequence[GuardedProvider]) -> None:
        self._by_name = {provider.name: provider for provider in providers}

    def __getitem__(self, name: str) -> GuardedProvider:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def choose(self, names: Sequence[str]) -> str:
        """Return the first of `names` that would take a payment now; if none would, the first.

        The caller then meets the reason: a full provider refuses, a broken one does nothing.
        """
        fit = [name for name in names if self._usable(name)]
        return next(iter(fit), names[0])

    def any_usable(self, names: Sequence[str]) -> bool:
        """Return whether one of `names` would take a payment now."""
        return any(map(self._usable, names))

    def _usable(self, name: str) -> bool:
        provider = self._by_name[name]
        return provider.breaker.lets_through and provider.has_room
