"""The composition root: the only place where the parts are made and put together."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any, Final, Literal

import aiohttp
from aiohttp import web

from service import metric_catalog as m
from service.api.common import CONTEXT
from service.api.routes import ROUTES
from service.call_results import CallOutcome
from service.clock import Clock, DatabaseClock
from service.integrations.game_catalog import GameCatalog
from service.integrations.library import Library
from service.integrations.merchants import Merchants, public_connector
from service.logs import correlation_id, get_logger
from service.metrics import Metrics
from service.outbound import Observe, Outbound
from service.providers.breaker import Breaker
from service.providers.breaker_states import STATES
from service.providers.catalog import BY_NAME
from service.providers.guard import GuardedProvider
from service.providers.port import Provider
from service.providers.registry import Providers
from service.setting_types import Secret
from service.settings import Settings
from service.store import begin_payments, inbox, orders, payments, record_outcomes
from service.store.batch import Batcher
from service.store.cache import Cache
from service.store.database import Database
from service.store.quotas import Quotas
from service.store.schema import owns_tables, require_schema, require_writable, server_time
from service.store.signing import Signer
from service.usecases.audit import Rounds
from service.usecases.context import Context
from service.web import app_factory
from service.web.ops import LIFECYCLE, Lifecycle, event_loop_lag, keep_checking
from service.web.server import Application
from service.workers import completer, gauges, jobs, merchant_webhooks
from service.workers import inbox as inbox_worker
from service.workers.loop import Worker, run

Role = Literal["api", "worker"]

PREPARED: Final = {
    begin_payments.NAME: begin_payments.SQL,
    record_outcomes.NAME: record_outcomes.SQL,
    orders.CREATE_NAME: orders.CREATE_SQL,
    orders.GET_NAME: orders.GET_SQL,
    payments.GET_NAME: payments.GET_SQL,
    inbox.NAME: inbox.SQL,
}
REMOTE_CONNECTIONS: Final = 100
"""Connections to one remote service: a bulkhead, so that a slow one can't take them all."""

SLOW_POLL_S: Final = 5.0
"""Of workers that nobody waits for; also how soon a requested reconciliation run begins."""
INVARIANTS_POLL_S: Final = 60.0
"""The invariants read whole tables; once a minute is soon enough for a page."""

FAREWELL_S: Final = 2.0
"""A client that sends a request each second learns by then that its connection ends."""

_log = get_logger(__name__)


def build(settings: Settings, role: Role, now: Clock | None = None) -> Application:
    """Return the app of a role; its parts start and stop with it.

    Its use cases go by `now`, or by the database's clock. That of the API is for the public port; a
    worker has none but the operations port.
    """
    metrics = Metrics(version=settings.version, role=role)
    clock = now if isinstance(now, DatabaseClock) else DatabaseClock()
    metrics.start_at_zero(provider=settings.provider_names)
    metrics.read_at_scrape(m.CLOCK_OFFSET, clock.system_offset_s)
    if role == "api":
        quotas = Quotas(_counted(settings, metrics))
        app = app_factory.build(settings, metrics, ROUTES, clock.unix_s, quotas=quotas)
        app.farewell_s = min(FAREWELL_S, settings.shutdown_drain_s / 10)
    else:
        app = app_factory.build_ops(settings, metrics, Lifecycle())
    app.cleanup_ctx.append(event_loop_lag)
    app.cleanup_ctx.append(partial(_parts, settings, metrics, now or clock))
    app.cleanup_ctx.append(partial(_follow_database, clock))
    app.cleanup_ctx.append(keep_checking)
    if role == "worker":
        app.cleanup_ctx.append(partial(_work, clock))
    app.on_startup.append(_started)
    app.on_shutdown.append(_draining)
    return app


async def _started(app: web.Application) -> None:
    app[LIFECYCLE].started = True
    _log.info("started")


async def _draining(app: web.Application) -> None:
    app[LIFECYCLE].draining = True
    _log.info("draining")
    if isinstance(app, Application):
        await app.farewell()


async def _parts(
    settings: Settings, metrics: Metrics, now: Clock, app: web.Application
) -> AsyncIterator[None]:
    async with parts(settings, metrics, now) as context:
        app[CONTEXT] = context
        app[LIFECYCLE].checks["database"] = _database_check(context.db)
        yield


async def _follow_database(clock: DatabaseClock, app: web.Application) -> AsyncIterator[None]:
    app[LIFECYCLE].checks["clock"] = clock.synchronized.wait
    stop, read = asyncio.Event(), partial(server_time, app[CONTEXT].db)
    following = asyncio.create_task(clock.follow(read, stop), name="clock")
    yield
    stop.set()
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following


def _database_check(db: Database) -> Callable[[], Awaitable[None]]:
    """Return the readiness check of the database; the first time it also checks the login."""
    login_checked = False

    async def check() -> None:
        nonlocal login_checked
        await require_schema(db)
        await require_writable(db)
        if login_checked:
            return
        login_checked = True
        if await owns_tables(db):
            _log.warning(
                "database_login_owns_tables",
                error="make a login for the service, IN ROLE coinslot_service, and give the"
                " owner's URL to the role migrate only, as MIGRATION_DATABASE_URL",
            )

    return check


@asynccontextmanager
async def parts(settings: Settings, metrics: Metrics, now: Clock) -> AsyncIterator[Context]:
    """Make the parts that use cases touch, of an app or of a command, and close them at the end."""
    async with AsyncExitStack() as stack:
        db = await _database(stack, settings, metrics)
        cache = _cache(stack, settings, metrics)
        remote = partial(_remote, stack, settings.integration_timeout_s)
        yield Context(
            settings=settings,
            metrics=metrics,
            now=now,
            db=db,
            create_orders=_batcher(stack, settings, metrics, db, orders.create_orders, orders),
            begin_payments=_batcher(
                stack, settings, metrics, db, begin_payments.begin_payments, begin_payments
            ),
            record_outcomes=_batcher(
                stack, settings, metrics, db, record_outcomes.record_outcomes, record_outcomes
            ),
            receive_events=_batcher(stack, settings, metrics, db, inbox.receive_events, inbox),
            providers=_providers(stack, settings, metrics, now),
            game_catalog=GameCatalog(
                remote(settings.game_catalog_url, None, _integration(metrics, "game_catalog")),
                cache,
                settings.game_cache_ttl_s,
            ),
            library=Library(
                remote(
                    settings.library_url,
                    settings.library_token,
                    _integration(metrics, "library"),
                )
            ),
            merchants=_merchants(stack, settings),
        )


async def _database(stack: AsyncExitStack, settings: Settings, metrics: Metrics) -> Database:
    db = await Database.open(
        settings.database_url.reveal(),
        size=settings.db_pool_size,
        timeout_s=settings.db_statement_timeout_s,
        prepared=PREPARED,
    )
    stack.push_async_callback(db.close)
    metrics.read_at_scrape(m.DB_POOL_CONNECTIONS, lambda: db.in_use, state="in_use")
    metrics.read_at_scrape(m.DB_POOL_CONNECTIONS, lambda: db.free, state="free")
    metrics.set(m.DB_POOL_LIMIT, settings.db_pool_size)
    metrics.set(m.DB_BATCH_QUEUE_LIMIT, settings.db_batch_queue)
    return db


def _cache(stack: AsyncExitStack, settings: Settings, metrics: Metrics) -> Cache:
    # Every process that reads the cache has the key, and who can write to the cache does not.
    cache = _counted(settings, metrics, Signer(settings.database_url.reveal()))
    stack.push_async_callback(cache.close)
    return cache


def _counted(settings: Settings, metrics: Metrics, signer: Signer | None = None) -> Cache:
    def observe(cache: str, outcome: str) -> None:
        metrics.inc(m.CACHE_REQUESTS, cache=cache, outcome=outcome)

    return Cache(settings.redis_url.reveal(), settings.cache_timeout_s, observe, signer=signer)


def _batcher(
    stack: AsyncExitStack,
    settings: Settings,
    metrics: Metrics,
    db: Database,
    statement: Callable[..., Any],
    store: Any,
) -> Batcher[Any, Any]:
    name = statement.__name__

    def observe(size: int) -> None:
        metrics.observe(m.DB_BATCH_SIZE, size, statement=name)

    batcher: Batcher[Any, Any] = Batcher(
        partial(statement, db),
        conflict_keys=store.conflict_keys,
        max_items=settings.db_batch_items,
        max_queue=settings.db_batch_queue,
        lanes=settings.db_batch_connections,
        observe=observe,
    )
    # Not set when a batch is taken: while the database hangs, none is, and the queue grows.
    metrics.read_at_scrape(m.DB_BATCH_QUEUE, lambda: batcher.waiting, statement=name)
    stack.push_async_callback(batcher.close, settings.shutdown_drain_s)
    return batcher


def _providers(
    stack: AsyncExitStack, settings: Settings, metrics: Metrics, now: Clock
) -> Providers:
    # A place in the bulkhead is a connection: what is admitted never waits for one.
    connections = settings.provider_max_in_flight
    remote = partial(_remote, stack, settings.provider_timeout_s, connections=connections)
    made = []
    for name in settings.provider_names:
        own = settings.of_providers[name]
        observe = _observe(metrics, m.PROVIDER_REQUESTS, m.PROVIDER_DURATION, provider=name)
        outbound = remote(own.url, own.api_key, observe)
        provider = BY_NAME[name].connect(outbound, own, lambda: now().timestamp())
        made.append(_guarded(settings, metrics, provider))
    return Providers(made)


def _guarded(settings: Settings, metrics: Metrics, provider: Provider) -> GuardedProvider:
    name = provider.name
    breaker = Breaker(name, failures=settings.breaker_failures, open_s=settings.breaker_open_s)
    guarded = GuardedProvider(provider, breaker, max_in_flight=settings.provider_max_in_flight)
    metrics.read_at_scrape(m.PROVIDER_IN_FLIGHT, lambda: guarded.in_flight, provider=name)
    for state in STATES:
        metrics.read_at_scrape(
            m.BREAKER_STATE, partial(_is_in, breaker, state), provider=name, state=state
        )
    return guarded


def _is_in(breaker: Breaker, state: str) -> float:
    return float(breaker.state == state)


def _integration(metrics: Metrics, name: str) -> Observe:
    return _observe(metrics, m.INTEGRATION_REQUESTS, m.INTEGRATION_DURATION, integration=name)


def _observe(metrics: Metrics, requests: m.Metric, durations: m.Metric, **remote: str) -> Observe:
    def observe(operation: str, outcome: CallOutcome, duration_s: float) -> None:
        metrics.inc(requests, operation=operation, outcome=outcome, **remote)
        metrics.observe(durations, duration_s, operation=operation, **remote)

    return observe


def _remote(
    stack: AsyncExitStack,
    timeout_s: float,
    url: str,
    token: Secret | None,
    observe: Observe,
    *,
    connections: int = REMOTE_CONNECTIONS,
) -> Outbound:
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections),
        cookie_jar=aiohttp.DummyCookieJar(),
    )
    stack.push_async_callback(session.close)
    return Outbound(
        session,
        url,
        headers={"Authorization": f"Bearer {token.reveal()}"} if token else {},
        timeout_s=timeout_s,
        observe=observe,
        correlation_id=correlation_id,
    )


def _merchants(stack: AsyncExitStack, settings: Settings) -> Merchants:
    session = aiohttp.ClientSession(
        connector=public_connector(settings.webhook_networks),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,  # no answer's body counts
    )
    stack.push_async_callback(session.close)
    return Merchants(session, settings.webhook_timeout_s)


def _workers(ctx: Context, sender: merchant_webhooks.Sender) -> Iterable[Worker]:
    poll_s = ctx.settings.worker_poll_s
    yield Worker("outbox", partial(jobs.relay_outbox, ctx), poll_s)
    yield Worker("completer", partial(completer.run_once, ctx), poll_s)
    yield Worker("inbox", partial(inbox_worker.run_once, ctx), poll_s)
    yield Worker("inbox backlog", partial(inbox_worker.measure, ctx), SLOW_POLL_S)
    yield Worker("actions", partial(jobs.poll_actions, ctx), jobs.ACTION_POLL_S)
    yield Worker("merchant webhooks", sender.run_once, poll_s)
    yield Worker("webhook backlog", partial(merchant_webhooks.measure, ctx), SLOW_POLL_S)
    yield Worker("expiry", partial(jobs.expire, ctx), SLOW_POLL_S)
    yield Worker("reconciliation", partial(jobs.run_reconciliation, ctx), SLOW_POLL_S)
    seal_poll_s = min(jobs.SEAL_POLL_S, ctx.settings.audit_seal_interval_s)
    yield Worker("audit seals", partial(jobs.seal_audit_trail, ctx), seal_poll_s)
    yield Worker("audit check", partial(jobs.check_audit_trail, ctx, Rounds()), jobs.CHECK_POLL_S)
    yield Worker("backlog", partial(gauges.measure_backlog, ctx), SLOW_POLL_S)
    yield Worker("disputes", partial(gauges.measure_disputes, ctx), SLOW_POLL_S)
    yield Worker("invariants", partial(gauges.measure_invariants, ctx), INVARIANTS_POLL_S)


async def _work(clock: DatabaseClock, app: web.Application) -> AsyncIterator[None]:
    ctx, stop = app[CONTEXT], asyncio.Event()
    sender = merchant_webhooks.Sender(ctx)

    def succeeded(worker: Worker) -> None:
        ctx.metrics.set(m.WORKER_LAST_ROUND, ctx.now().timestamp(), worker=worker.name)

    workers = list(_workers(ctx, sender))
    for worker in workers:
        succeeded(worker)  # so that one which never gets through a round shows, too

    async def work(worker: Worker) -> None:
        await _first_of(clock.synchronized.wait(), stop.wait())  # or it would take others' leases
        await run(worker, stop, succeeded)

    tasks = [asyncio.create_task(work(worker), name=worker.name) for worker in workers]
    yield
    stop.set()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + ctx.settings.shutdown_drain_s
    _done, late = await asyncio.wait(tasks, timeout=ctx.settings.shutdown_drain_s)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    await sender.close(deadline - loop.time())


async def _first_of(*waits: Coroutine[Any, Any, object]) -> None:
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
