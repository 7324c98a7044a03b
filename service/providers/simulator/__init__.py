"""The scriptable provider of simulator/; it signs its webhooks as Stripe does."""

from typing import Final

from service.providers.signature import STRIPE_SCHEME
from service.providers.simulator.adapter import SimulatorProvider
from service.providers.simulator.webhooks import read_event
from service.providers.spec import ProviderSettings, ProviderSpec
from service.setting_types import Url


class SimulatorSettings(ProviderSettings, frozen=True, kw_only=True):
    """SIMULATOR_URL and so on."""

    url: Url = "http://127.0.0.1:8090"


SIMULATOR: Final = ProviderSpec(
    name=SimulatorProvider.name,
    settings=SimulatorSettings,
    connect=lambda outbound, _settings, _clock: SimulatorProvider(outbound),
    signature=STRIPE_SCHEME,
    read_event=read_event,
)
