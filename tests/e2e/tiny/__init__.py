"""A third provider, as docs/providers.md says that one is added; it charges and does no more."""

from typing import Final

from service.providers.spec import ProviderSettings, ProviderSpec
from service.setting_types import Url

from .adapter import TinyProvider
from .webhooks import TINY_SCHEME, read_event


class TinySettings(ProviderSettings, frozen=True, kw_only=True):
    """TINY_URL and so on."""

    url: Url = "https://tiny.example"
    shop: str = ""
    """What Tiny calls us."""


TINY: Final = ProviderSpec(
    name=TinyProvider.name,
    settings=TinySettings,
    connect=lambda outbound, settings, _clock: TinyProvider(outbound, settings.shop),
    signature=TINY_SCHEME,
    read_event=read_event,
)
