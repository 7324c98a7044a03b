"""The relay: delivers what the outbox holds."""

from functools import partial

from service.usecases.context import Context
from service.usecases.deliver import claim, deliver
from service.workers.loop import each


async def run_once(ctx: Context) -> int:
    """Deliver the messages that are due; return how many there were."""
    return await each(await claim(ctx), partial(deliver, ctx))
