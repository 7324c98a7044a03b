"""Make the configured providers: each with its connection, its breaker and its metrics."""

from collections.abc import Callable
from typing import Protocol

from service import metric_catalog as m
from service.clock import Clock
from service.metrics import Metrics
from service.outbound import CallOutcome, Observe, Outbound
from service.providers.breaker import STATES, Breaker
from service.providers.guard import GuardedProvider
from service.providers.port import Provider
from service.providers.registry import Providers
from service.providers.simulator import SimulatorProvider
from service.providers.stripe import StripeProvider
from service.settings import Secret, Settings


class Remote(Protocol):
    """Makes the connection to a remote service."""

    def __call__(self, url: str, token: Secret, observe: Observe) -> Outbound:
        """Return it; it is closed with the process."""


def connect(settings: Settings, metrics: Metrics, remote: Remote, now: Clock) -> Providers:
    """Return the configured providers, the most wanted first."""
    makers: dict[str, Callable[[], Provider]] = {
        "simulator": lambda: SimulatorProvider(
            remote(
                settings.simulator_url,
                settings.simulator_api_key,
                _observe(metrics, SimulatorProvider.name),
            )
        ),
        "stripe": lambda: StripeProvider(
            remote(
                settings.stripe_url,
                settings.stripe_api_key,
                _observe(metrics, StripeProvider.name),
            ),
            return_url=settings.stripe_return_url,
            clock=lambda: now().timestamp(),
        ),
    }
    return Providers(
        [_guarded(settings, metrics, makers[name]()) for name in settings.provider_names]
    )


def _guarded(settings: Settings, metrics: Metrics, provider: Provider) -> GuardedProvider:
    breaker = Breaker(
        provider.name, failures=settings.breaker_failures, open_s=settings.breaker_open_s
    )
    guarded = GuardedProvider(provider, breaker, max_in_flight=settings.provider_max_in_flight)
    name = provider.name
    metrics.read_at_scrape(m.PROVIDER_IN_FLIGHT, lambda: guarded.in_flight, provider=name)
    for state in STATES:
        metrics.read_at_scrape(m.BREAKER_STATE, _is(breaker, state), provider=name, state=state)
    return guarded


def _is(breaker: Breaker, state: str) -> Callable[[], float]:
    return lambda: float(breaker.state == state)


def _observe(metrics: Metrics, provider: str) -> Observe:
    def observe(operation: str, outcome: CallOutcome, duration_s: float) -> None:
        labels = {"provider": provider, "operation": operation}
        metrics.inc(m.PROVIDER_REQUESTS, outcome=outcome, **labels)
        metrics.observe(m.PROVIDER_DURATION, duration_s, **labels)

    return observe
