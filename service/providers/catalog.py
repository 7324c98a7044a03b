"""The providers that the service can speak to; the first is the default."""

from typing import Any, Final

from service.providers.simulator import SIMULATOR
from service.providers.spec import ProviderSpec
from service.providers.stripe import STRIPE

PROVIDERS: Final[tuple[ProviderSpec[Any], ...]] = (
    SIMULATOR,
    STRIPE,
)
BY_NAME: Final = {provider.name: provider for provider in PROVIDERS}
NAMES: Final = tuple(BY_NAME)
