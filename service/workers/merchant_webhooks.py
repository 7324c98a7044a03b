"""Sends to merchants' endpoints: many at a time, and to each of them a few at a time.

A round does not wait for what it has begun, so an endpoint that takes its time keeps nobody else
waiting.
"""

import asyncio
from collections import Counter
from uuid import UUID

from service import metric_catalog as m
from service.logs import get_logger
from service.store import merchant_webhook_deliveries as store
from service.store.merchant_webhook_deliveries import DueDelivery
from service.usecases import merchant_webhooks
from service.usecases.context import Context

_log = get_logger(__name__)


class Sender:
    """What is under way to merchants in this process."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._busy: Counter[UUID] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run_once(self) -> int:
        """Begin what is due and return how much that was.

        With nothing to begin, wait for something to end, or for the next look: an endpoint may
        have a free place then.
        """
        busy = {str(endpoint): count for endpoint, count in self._busy.items()}
        found = await merchant_webhooks.claim(self._ctx, busy)
        for due in found:
            self._begin(due)
        if found or not self._tasks:
            return len(found)
        done, _ = await asyncio.wait(
            self._tasks,
            timeout=self._ctx.settings.worker_poll_s,
            return_when=asyncio.FIRST_COMPLETED,
        )
        return len(done)

    async def close(self, timeout_s: float) -> None:
        """Let what is under way end; what can't is sent again when its lease has run out."""
        if not self._tasks:
            return
        _done, late = await asyncio.wait(self._tasks, timeout=max(timeout_s, 0.0))
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _begin(self, due: DueDelivery) -> None:
        self._busy[due.endpoint_id] += 1
        task = asyncio.create_task(self._send(due), name=f"webhook {due.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, due: DueDelivery) -> None:
        try:
            await merchant_webhooks.send(self._ctx, due)
        except Exception:  # noqa: BLE001  the others go on; this one is due again after its lease
            _log.exception("work_item_failed")
        finally:
            self._busy[due.endpoint_id] -= 1
            if not self._busy[due.endpoint_id]:
                del self._busy[due.endpoint_id]


async def measure(ctx: Context) -> int:
    """Set the gauges of what is not delivered, and of the endpoints."""
    backlog = await store.backlog(ctx.db, ctx.now())
    ctx.metrics.set_each(
        m.MERCHANT_WEBHOOK_BACKLOG, {"pending": backlog.pending, "exhausted": backlog.exhausted}
    )
    ctx.metrics.set(m.MERCHANT_WEBHOOK_LAG, backlog.late_s)
    ctx.metrics.set_each(m.MERCHANT_WEBHOOK_ENDPOINTS, backlog.endpoints)
    return 0
