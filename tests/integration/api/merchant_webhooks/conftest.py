"""An API that sends to a test's own server, that server, and an operator."""

from collections.abc import AsyncIterator

import pytest

from scripts.platform.client import Client
from tests.integration.api.conftest import Api, Start
from tests.support.merchant import TAKES_LOOPBACK, Merchant, merchant
from tests.support.services import ADMIN


@pytest.fixture
async def api(start_api: Start) -> Api:
    return await start_api(**TAKES_LOOPBACK)


@pytest.fixture
async def receiver() -> AsyncIterator[Merchant]:
    async with merchant() as found:
        yield found


@pytest.fixture
async def operator(api: Api) -> AsyncIterator[Client]:
    async with api.client("olga", ADMIN) as client:
        yield client
