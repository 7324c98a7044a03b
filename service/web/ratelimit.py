"""Rate limits per user and per address.

A request is counted under its address and, if it carries a valid token, under its user. Both are
taken in one step, shared by all processes (service/store/quotas.py). Answers carry them in
`RateLimit-Policy` and `RateLimit`, the fields of draft-ietf-httpapi-ratelimit-headers since -08.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from service import logs
from service.addresses import networks
from service.errors import RateLimitedError
from service.quota import Count, Demand, Quota, Quotas, seconds
from service.settings import Settings
from service.web.address import locator
from service.web.auth import Authenticator
from service.web.middleware import QUIET, route_of

LIMIT: Final = "RateLimit"
POLICY: Final = "RateLimit-Policy"
WEBHOOKS: Final = "/v1/webhooks/"
"""Below it providers call, from few addresses and as often as they must."""
WINDOW_S: Final = 60
CLOSE_TIMEOUT_S: Final = 1.0  # a round trip to Valkey is bounded by its own, shorter limit

_STANDING: Final = web.RequestKey("rate_limit", tuple[str, str])
_log = logs.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Policy:
    """A quota under the name that the headers show."""

    name: str
    quota: Quota

    def demand(self, who: str) -> Demand:
        """Return what one request of `who` takes."""
        return f"rate:{self.name}:{who}", self.quota

    def described(self) -> str:
        """Return the policy as an item of RateLimit-Policy."""
        return f'"{self.name}";q={self.quota.limit};w={WINDOW_S}'

    def standing(self, count: Count) -> str:
        """Return how much is left, and the seconds until all of it is, as an item of RateLimit."""
        return f'"{self.name}";r={max(0, count.remaining)};t={seconds(count.full_us)}'


class Limits:
    """The policies, and the counts that they are held to."""

    def __init__(self, settings: Settings, authenticator: Authenticator, quotas: Quotas) -> None:
        self._locate = locator(networks(settings.trusted_proxies))
        self._user = _policy("user", settings.rate_limit_user)
        self._address = _policy("address", settings.rate_limit_address)
        self._webhooks = _policy("webhooks", settings.rate_limit_webhooks)
        self._identify = authenticator.identify
        self._quotas = quotas

    async def admit(self, request: web.Request, route: str) -> None:
        """Count a request; raise RateLimitedError for one too many."""
        applied = await self._applied(request, route)
        if not applied:
            return
        demands = tuple(policy.demand(who) for policy, who in applied)
        counts = await self._quotas.take(demands)
        standing = [(policy, count) for (policy, _), count in zip(applied, counts, strict=True)]
        refused = [(policy, count) for policy, count in standing if count.retry_us]
        request[_STANDING] = (
            ", ".join(policy.described() for policy, _ in standing),
            ", ".join(policy.standing(count) for policy, count in refused or standing),
        )
        if refused:
            _log.warning("rate_limited", policy=refused[0][0].name, address=applied[0][1])
            raise RateLimitedError(
                f"More than {refused[0][0].quota.limit} requests a minute",
                retry_after_s=max(seconds(count.retry_us) for _, count in refused),
            )

    async def _applied(self, request: web.Request, route: str) -> list[tuple[Policy, str]]:
        first = self._webhooks if route.startswith(WEBHOOKS) else self._address
        applied = [(first, self._locate(request))] if first else []
        caller = await self._identify(request) if self._user else None
        if caller is not None and self._user:
            applied.append((self._user, caller.user_id))
        return applied


def limited(
    app: web.Application, settings: Settings, quotas: Quotas, authenticator: Authenticator
) -> Middleware:
    """Return the middleware; the app closes the quotas. Probes and scrapes are not counted."""
    limits = Limits(settings, authenticator, quotas)
    app.cleanup_ctx.append(partial(_closing, quotas))
    app.on_response_prepare.append(_set_headers)

    @web.middleware
    async def admitted(request: web.Request, handler: Handler) -> web.StreamResponse:
        route = route_of(request)
        if not QUIET.match(route):
            await limits.admit(request, route)
        return await handler(request)

    return admitted


def _policy(name: str, limit: int) -> Policy | None:
    return Policy(name, Quota(limit, WINDOW_S)) if limit else None


async def _closing(quotas: Quotas, _app: web.Application) -> AsyncIterator[None]:
    yield
    await quotas.close(CLOSE_TIMEOUT_S)


async def _set_headers(request: web.Request, answer: web.StreamResponse) -> None:
    if _STANDING in request:
        answer.headers[POLICY], answer.headers[LIMIT] = request[_STANDING]
