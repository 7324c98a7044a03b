"""Send merchants what has happened: one try of a delivery, and what comes of it.

At least once: a crash between the endpoint's answer and our record sends the same message again,
with the same id and the same bytes.
"""

import random
from datetime import timedelta
from typing import Final
from uuid import UUID

from service import metric_catalog as m
from service.integrations.merchants import UnreachableError
from service.logs import bind_correlation, get_logger
from service.merchant_webhooks import signing
from service.retry import retry_after_s
from service.store import merchant_webhook_deliveries as store
from service.store import merchant_webhook_endpoints as endpoints
from service.store.merchant_webhook_deliveries import DueDelivery, Failure
from service.store.merchant_webhook_endpoints import DisabledReason
from service.usecases import audit
from service.usecases.audit import By
from service.usecases.context import Context

_log = get_logger(__name__)

SCHEDULE_S: Final = (
    *(5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0),
)
"""Waits after the first try, the second, …: Standard Webhooks' example, ten tries in three days."""

JITTER: Final = 0.1
"""A wait is up to this part longer, never shorter: what failed together comes back apart."""

MAX_RETRY_AFTER_S: Final = 86_400.0
"""An endpoint can ask for a day of rest, as long as the longest wait of the schedule."""

LEASE_MARGIN_S: Final = 30.0
"""Beyond the longest request: for the records of a busy database."""

KEY_MISSING_WAIT: Final = timedelta(minutes=5)
"""Until a missing master key is looked for again: a roll-out of the pods takes about that long."""

REAP_BATCH: Final = 200
WORKER: Final = "worker"
"""Who acts in the audit trail when nobody did."""

_GONE: Final = 410
_ASK_FOR_REST: Final = frozenset({429, 503})


async def claim(ctx: Context, busy: dict[str, int]) -> list[DueDelivery]:
    """Take due deliveries; `busy` are those under way in this process, by endpoint."""
    now, settings = ctx.now(), ctx.settings
    until = now + timedelta(seconds=settings.webhook_timeout_s + LEASE_MARGIN_S)
    return await store.claim(
        ctx.db, at=now, until=until, each=settings.webhook_endpoint_requests, busy=busy
    )


async def send(ctx: Context, due: DueDelivery) -> None:
    """Try a delivery once and record what came of it."""
    about = {"payment_id": str(due.payment_id)} if due.payment_id else {}
    with bind_correlation(
        due.correlation_id,
        endpoint_id=str(due.endpoint_id),
        webhook_id=signing.message_id(due.event_id),
        **about,
    ):
        try:
            secrets = _secrets(ctx, due)
        except KeyError as error:
            await _without_key(ctx, due, str(error.args[0]))
            return
        await _try(ctx, due, secrets)


async def reap(ctx: Context) -> int:
    """Forget what is older than the retention; return how many events."""
    before = ctx.now() - timedelta(seconds=ctx.settings.webhook_retention_s)
    return await store.reap(ctx.db, before=before, limit=REAP_BATCH)


def wait_s(tries: int, retry_after_s: float, fraction: float) -> float | None:
    """Return the wait after `tries` failed tries, None if that was the last one.

    `fraction`, 0 to 1, is how much of the jitter is used.
    """
    if tries > len(SCHEDULE_S):
        return None
    planned = SCHEDULE_S[tries - 1] * (1 + JITTER * fraction)
    return max(planned, min(retry_after_s, MAX_RETRY_AFTER_S))


async def _try(ctx: Context, due: DueDelivery, secrets: list[str]) -> None:
    body = due.body.encode()
    signed = signing.headers(
        secrets, signing.message_id(due.event_id), int(ctx.now().timestamp()), body
    )
    with ctx.metrics.time(m.MERCHANT_WEBHOOK_DURATION):
        try:
            answer = await ctx.merchants.post(due.url, body, signed)
        except UnreachableError as error:
            outcome, status, rest, problem = error.outcome, None, "", str(error)
        else:
            outcome, status, rest = "ok", answer.status, answer.retry_after
            problem = "" if 200 <= answer.status < 300 else f"status {answer.status}"  # noqa: PLR2004
    if not problem and status is not None:
        await _succeeded(ctx, due, status)
        return
    ctx.metrics.inc(m.MERCHANT_WEBHOOKS, outcome="error" if outcome == "ok" else outcome)
    await _failed(ctx, due, status, rest if status in _ASK_FOR_REST else "", problem)


async def _succeeded(ctx: Context, due: DueDelivery, status: int) -> None:
    ctx.metrics.inc(m.MERCHANT_WEBHOOKS, outcome="ok")
    recorded = await store.delivered(
        ctx.db, due.id, attempts=due.attempts, status=status, at=ctx.now()
    )
    if recorded:
        _log.info("merchant_webhook_delivered", event_type=due.type, attempts=due.attempts + 1)


async def _failed(
    ctx: Context, due: DueDelivery, status: int | None, rest: str, problem: str
) -> None:
    now = ctx.now()
    tries = due.attempts - due.schedule_start + 1
    wait = wait_s(tries, retry_after_s(rest, now), random.random())  # noqa: S311  no secret
    until = None if wait is None else now + timedelta(seconds=wait)
    failure = Failure(due.id, due.attempts, now, until, status, problem)
    failing_since = await store.failed(ctx.db, failure)
    if failing_since is None:
        return
    facts = {"event_type": due.type, "attempts": due.attempts + 1, "reason": problem}
    if wait is None:
        _log.error("merchant_webhook_exhausted", **facts)
    else:
        _log.warning("merchant_webhook_put_off", wait_s=round(wait, 1), **facts)
    if status == _GONE:
        await _disable(ctx, due.endpoint_id, "gone", "The endpoint answered 410 Gone")
    elif (now - failing_since).total_seconds() >= ctx.settings.webhook_disable_after_s:
        why = f"Every try has failed since {failing_since:%Y-%m-%d %H:%M:%S}Z; the last: {problem}"
        await _disable(ctx, due.endpoint_id, "failing", why)


async def _disable(ctx: Context, endpoint_id: UUID, reason: DisabledReason, why: str) -> None:
    by = By(WORKER, why)
    action = audit.entry(
        ctx, "webhook_endpoint", endpoint_id, "disable", by, disabled_reason=reason
    )
    if await endpoints.disable(ctx.db, endpoint_id, reason, at=ctx.now(), action=action):
        ctx.metrics.inc(m.MERCHANT_WEBHOOK_DISABLED, reason=reason)
        _log.error("webhook_endpoint_disabled", reason=why)


async def _without_key(ctx: Context, due: DueDelivery, name: str) -> None:
    reason = f"the master key {name} is not in WEBHOOK_MASTER_KEYS"
    await store.put_off(ctx.db, due.id, until=ctx.now() + KEY_MISSING_WAIT, error=reason)
    _log.error("merchant_webhook_unsigned", reason=reason)


def _secrets(ctx: Context, due: DueDelivery) -> list[str]:
    """Return the live secrets, the newest first; raise KeyError if a master key is gone."""
    keys = ctx.settings.webhook_keys
    found = [signing.derive(keys, due.secret_key, due.endpoint_id, due.secret_version)]
    previous = due.previous_key, due.previous_version, due.previous_until
    key, version, until = previous
    if key is not None and version is not None and until is not None and until > ctx.now():
        found.append(signing.derive(keys, key, due.endpoint_id, version))
    return found
