"""Actions in the provider's dashboard, for tests."""

from scripts.platform.client import Client
from tests.integration.api.conftest import Api
from tests.support.webhooks import Hook, Json, event_of


async def refund_in_dashboard(
    api: Api, hook: Hook, amount: int | None = None, *, tell: bool = True
) -> Json:
    """Refund the last charge in the provider's dashboard; return the refund."""
    charge = (await api.simulator.state())["charges"][-1]
    made = await api.simulator.refund(charge["id"], amount)
    if tell:
        await hook.send(event_of(made))
        await api.process()
    return made


async def held(api: Api, ada: Client, *, pay: str = "pm_ok") -> tuple[Json, str]:
    """Return a payment that is only held, or waits for its buyer, and its charge's id."""
    order = await ada.order(["game-1"])
    payment = (await ada.pay(order["id"], capture="manual", payment_method=pay)).expect(201).body
    [charge] = (await api.simulator.state())["charges"]
    return payment, charge["id"]
