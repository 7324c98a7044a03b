"""Providers as the service makes them, towards real servers."""

from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest

from service.call_results import CallOutcome
from service.outbound import Outbound
from service.providers.simulator.adapter import SimulatorProvider
from simulator.client import Control
from tests.support.services import SIMULATOR_SECRETS

Calls = list[tuple[str, str]]
"""Operation and outcome of each call, as the metrics see them."""

Connect = Callable[..., Outbound]


@pytest.fixture
def calls() -> Calls:
    return []


@pytest.fixture
async def connect(calls: Calls) -> AsyncIterator[Connect]:
    """Give a function that makes the connection to a provider."""

    def observe(operation: str, outcome: CallOutcome, _duration_s: float) -> None:
        calls.append((operation, outcome))

    async with aiohttp.ClientSession() as session:

        def make(url: str, key: str, *, timeout_s: float = 2.0) -> Outbound:
            return Outbound(
                session,
                url,
                headers={"Authorization": f"Bearer {key}"},
                timeout_s=timeout_s,
                observe=observe,
                correlation_id=lambda: "a-correlation-id",
            )

        yield make


@pytest.fixture
def simpay(connect: Connect, simulator: Control) -> SimulatorProvider:
    return SimulatorProvider(connect(simulator.url, SIMULATOR_SECRETS["SIMULATOR_API_KEY"]))
