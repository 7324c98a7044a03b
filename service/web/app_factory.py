"""The app around the endpoints: middlewares in their order, limits, health, metrics, OpenAPI."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from service import metric_catalog as m
from service.metrics import Metrics
from service.quota import Quotas
from service.settings import Settings
from service.web import docs, openapi
from service.web.admission import KINDS, Admission, admitted
from service.web.auth import Authenticator
from service.web.compress import compressed
from service.web.endpoint import Endpoint, add_endpoints
from service.web.middleware import count_unmatched, deadline, observe, plain_bodies
from service.web.ops import LIFECYCLE, METRICS, Lifecycle, add_ops_routes, add_public_routes
from service.web.parse import MAX_BODY_BYTES
from service.web.problem import problems
from service.web.ratelimit import limited
from service.web.server import Application

MAX_AGE: Final = "public, max-age=300"
JSON: Final[Mapping[str, str]] = {hdrs.CONTENT_TYPE: "application/json"}


def build(
    settings: Settings,
    metrics: Metrics,
    endpoints: Sequence[Endpoint] = (),
    now: Callable[[], float] = time.time,
    *,
    quotas: Quotas,
) -> Application:
    """Return the app of the public port: `endpoints`, their documents, and a terse /health.

    Tokens expire by `now`, in seconds since 1970; requests are counted by `quotas`, which the app
    closes.
    The caller adds its own parts under AppKeys, its checks to `app[LIFECYCLE].checks`, and sets
    `started` when all of them run.
    """
    app = _bare(settings, metrics, Lifecycle())
    add_public_routes(app)
    authenticator = Authenticator(settings, now)
    app.middlewares.append(_admitted(settings, metrics, endpoints))
    app.middlewares.append(limited(app, settings, quotas, authenticator))
    add_endpoints(app, endpoints, authenticator)
    document = openapi.document(endpoints, settings.version)
    _add_page(app, openapi.PATH, msgspec.json.encode(document), JSON)
    _add_page(app, docs.PATH, docs.page(document).encode(), docs.HEADERS)
    return app


def build_ops(settings: Settings, metrics: Metrics, lifecycle: Lifecycle) -> Application:
    """Return the app of the operations port: /health in detail, and /metrics."""
    app = _bare(settings, metrics, lifecycle)
    add_ops_routes(app)
    return app


def _admitted(settings: Settings, metrics: Metrics, endpoints: Sequence[Endpoint]) -> Middleware:
    admission = Admission(
        settings.http_max_in_flight,
        settings.http_new_target_s,
        shed=lambda kind: metrics.inc(m.HTTP_SHED, kind=kind),
    )
    for kind in KINDS:
        metrics.read_at_scrape(m.HTTP_IN_FLIGHT, partial(admission.count, kind), kind=kind)
        metrics.read_at_scrape(m.HTTP_IN_FLIGHT_LIMIT, partial(admission.limit, kind), kind=kind)
    return admitted(admission, {(each.method, each.path) for each in endpoints if each.begins})


def _add_page(app: web.Application, path: str, body: bytes, headers: Mapping[str, str]) -> None:
    async def serve(_request: web.Request) -> web.Response:
        return web.Response(body=body, headers={**headers, hdrs.CACHE_CONTROL: MAX_AGE})

    app.router.add_get(path, serve, allow_head=False)


def _bare(settings: Settings, metrics: Metrics, lifecycle: Lifecycle) -> Application:
    app = Application(
        observe=partial(count_unmatched, metrics),
        client_max_size=MAX_BODY_BYTES,
        middlewares=[
            observe(metrics),
            compressed,
            problems,
            plain_bodies,
            deadline(settings.request_timeout_s),
        ],
    )
    app[METRICS] = metrics
    app[LIFECYCLE] = lifecycle
    return app
