"""Sales, and the sending of the events that follow from them."""

from scripts.platform.client import Client
from service.store.merchant_webhook_deliveries import DueDelivery
from service.workers.merchant_webhooks import Sender
from tests.integration.api.conftest import Api
from tests.support.merchant import Json


class Counting(Sender):
    tries = 0

    def _begin(self, due: DueDelivery) -> None:
        self.tries += 1
        super()._begin(due)


async def send_due(api: Api) -> int:
    """Send all that is due; return how many tries that took."""
    sender = Counting(api.context)
    while await sender.run_once():
        pass
    await sender.close(5)
    return sender.tries


async def buy(api: Api, customer: Client, game: str = "game-1") -> Json:
    """Buy a game and have it granted; return the payment."""
    order = await customer.order([game])
    payment: Json = (await customer.pay(order["id"])).expect(201).body
    await api.deliver()
    return payment
