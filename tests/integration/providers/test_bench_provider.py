"""The benchmark's provider answers as the simulator's adapter reads it."""

import asyncio

from bench.provider import Provider
from scripts.platform.embedded import LOOPBACK
from service.domain.money import Money
from service.domain.payment import ChargeOutcome
from service.ids import new_id
from service.providers.port import ChargeRequest
from service.providers.simulator.adapter import SimulatorProvider
from tests.integration.providers.conftest import Connect

PRICE = Money(1999, "EUR")


async def test_a_charge_succeeds(connect: Connect) -> None:
    server = await asyncio.get_running_loop().create_server(Provider, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    provider = SimulatorProvider(connect(f"http://{LOOPBACK}:{port}", "key"))
    request = ChargeRequest(new_id(), new_id(), PRICE, capture=True, payment_method="pm_ok")
    try:
        charge = await provider.charge(request)
    finally:
        server.close()
    assert (charge.outcome, charge.amount) == (ChargeOutcome.SUCCEEDED, PRICE)
    assert charge.provider_ref == f"ch_{request.payment_id}"
