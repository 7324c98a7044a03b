"""Stripe: https://docs.stripe.com/api."""

from typing import Final

from service.providers.signature import STRIPE_SCHEME
from service.providers.spec import ProviderSpec
from service.providers.stripe.adapter import StripeProvider
from service.providers.stripe.settings import StripeSettings
from service.providers.stripe.webhooks import read_event

STRIPE: Final = ProviderSpec(
    name=StripeProvider.name,
    settings=StripeSettings,
    connect=lambda outbound, settings, clock: StripeProvider(
        outbound, return_url=settings.return_url, clock=clock
    ),
    signature=STRIPE_SCHEME,
    read_event=read_event,
)
