"""Stripe: https://docs.stripe.com/api."""

from typing import Annotated, Final

from msgspec import Meta

from service.providers.signature import STRIPE_SCHEME
from service.providers.spec import ProviderSettings, ProviderSpec
from service.providers.stripe.adapter import StripeProvider
from service.providers.stripe.webhooks import read_event
from service.setting_types import Url


class StripeSettings(ProviderSettings, frozen=True, kw_only=True):
    """STRIPE_URL and so on."""

    url: Url = "https://api.stripe.com"
    return_url: Annotated[str, Meta(pattern=r"^(https?://[^\s/]+\S*)?$")] = ""
    """Where a bank's page sends the buyer back to; empty: the page is embedded by the merchant."""


STRIPE: Final = ProviderSpec(
    name=StripeProvider.name,
    settings=StripeSettings,
    connect=lambda outbound, settings, clock: StripeProvider(
        outbound, return_url=settings.return_url, clock=clock
    ),
    signature=STRIPE_SCHEME,
    read_event=read_event,
)
