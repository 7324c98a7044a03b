"""What the simulator is set by."""

from service.providers.spec import ProviderSettings
from service.setting_types import Url


class SimulatorSettings(ProviderSettings, frozen=True, kw_only=True):
    """SIMULATOR_URL and so on."""

    url: Url = "http://127.0.0.1:8090"
