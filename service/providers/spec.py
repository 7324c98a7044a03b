"""What a provider's folder declares; everything else about it is derived."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import msgspec

from service.providers.port import Provider
from service.providers.signature import Scheme
from service.providers.webhooks import ProviderEvent
from service.setting_types import Secret, Url, listed

if TYPE_CHECKING:
    from service.outbound import Outbound

MIN_WEBHOOK_SECRET: Final = 16
"""Characters of a webhook secret; a shorter one could be guessed from one delivery."""


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What every provider is set by. The field `url` of `stripe` is read from `STRIPE_URL`."""

    url: Url
    api_key: Secret = Secret("")
    webhook_secrets: Secret = Secret("")
    """Secrets that sign its webhooks, separated by commas; empty: it has none here."""

    @property
    def live_secrets(self) -> tuple[str, ...]:
        """Return the secrets of which one must have signed a webhook."""
        return listed(self.webhook_secrets.reveal())


Own = TypeVar("Own", bound=ProviderSettings)


@dataclass(frozen=True, slots=True)
class ProviderSpec(Generic[Own]):
    """A provider: its name, its settings, its adapter, how its webhooks are signed and read.

    `connect` is given the connection, the settings and a clock in Unix seconds. `read_event`
    returns None for an event that is about nothing of ours, and raises EventError.
    """

    name: str
    settings: type[Own]
    connect: Callable[["Outbound", Own, Callable[[], float]], Provider]
    signature: Scheme
    read_event: Callable[[bytes], ProviderEvent | None]
