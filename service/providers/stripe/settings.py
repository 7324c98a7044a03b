"""What Stripe is set by, beside what every provider is."""

from typing import Annotated

from msgspec import Meta

from service.providers.spec import ProviderSettings
from service.setting_types import Url


class StripeSettings(ProviderSettings, frozen=True, kw_only=True):
    """STRIPE_URL and so on."""

    url: Url = "https://api.stripe.com"
    return_url: Annotated[str, Meta(pattern=r"^(https?://[^\s/]+\S*)?$")] = ""
    """Where a buyer comes back to from a bank's page; empty: the page is shown in the shop."""
