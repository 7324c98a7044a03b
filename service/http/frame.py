"""The app around the endpoints: middlewares in their order, limits, health, metrics, OpenAPI."""

import time
from collections.abc import Callable, Sequence
from functools import partial

from aiohttp import web

from service.http import docs, openapi
from service.http.auth import Authenticator
from service.http.compress import compressed
from service.http.endpoint import Endpoint, add_endpoints
from service.http.middleware import count_unmatched, deadline, observe, plain_bodies
from service.http.ops import LIFECYCLE, METRICS, Lifecycle, add_ops_routes, event_loop_lag
from service.http.parse import MAX_BODY_BYTES
from service.http.problem import problems
from service.http.ratelimit import limited
from service.http.server import Application
from service.metrics import Metrics
from service.settings import Settings


def build(
    settings: Settings,
    metrics: Metrics,
    endpoints: Sequence[Endpoint] = (),
    now: Callable[[], float] = time.time,
) -> web.Application:
    """Return an app that serves `endpoints`; without any, only what machines ask (a worker).

    Tokens expire by `now`, in seconds since 1970.
    The caller adds its own parts under AppKeys, its checks to `app[LIFECYCLE].checks`, and sets
    `started` when all of them run.
    """
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
    app[LIFECYCLE] = Lifecycle()
    app.cleanup_ctx.append(event_loop_lag)
    add_ops_routes(app)
    if endpoints:
        authenticator = Authenticator(settings, now)
        app.middlewares.append(limited(app, settings, metrics, authenticator))
        add_endpoints(app, endpoints, authenticator)
        openapi.add_route(app, endpoints, settings.version)
        docs.add_route(app, endpoints, settings.version)
    return app
