"""Rules that settings must hold together, and the forms of their texts."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from service.addresses import networks
from service.jwt_keys import MIN_HS256_KEY_BYTES, read_keys
from service.merchant_webhooks.signing import read_master_keys
from service.providers.catalog import NAMES
from service.providers.spec import MIN_WEBHOOK_SECRET
from service.setting_types import Secret, listed

ORDERED: Final[tuple[tuple[str, str, float, str], ...]] = (
    ("db_statement_timeout_s", "request_timeout_s", 1, "a request ends after its statement"),
    ("migration_lock_timeout_s", "db_statement_timeout_s", 1, "who queues behind it gets through"),
    ("migration_lock_timeout_s", "migration_wait_s", 2, "a lock is tried for more than once"),
    ("cache_timeout_s", "request_timeout_s", 1, "a lost cache costs speed and no request"),
    ("integration_timeout_s", "request_timeout_s", 1, "a request ends after what it waits for"),
    ("provider_timeout_s", "request_timeout_s", 1, "a charge is answered before the request ends"),
    ("request_timeout_s", "idempotency_lock_s", 2, "an owner of a key that lost it is surely gone"),
    ("integration_timeout_s", "outbox_lease_s", 2, "no two workers send one message"),
    (
        "reconciliation_interval_s",
        "reconciliation_window_s",
        1,
        "no payment falls between two runs",
    ),
    ("reconciliation_grace_s", "reconciliation_window_s", 1, "there is something to compare"),
)
"""Seconds that must be smaller (times the factor) than others, and why."""

_PARSED: Final[Mapping[str, Callable[[str], object]]] = {
    "jwt_keys": read_keys,
    "webhook_master_keys": read_master_keys,
    "trusted_proxies": networks,
    "webhook_private_networks": networks,
}
_LOCAL_ONLY: Final = ("webhook_private_networks", "webhook_url_schemes")


def problems(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield every broken rule; `settings` has all of them, those that can't be read by default."""
    yield from _providers(settings)
    yield from _secrets(settings)
    if settings["port"] == settings["ops_port"]:
        yield "OPS_PORT is PORT too; give /metrics a port that no stranger reaches"
    for name, parse in _PARSED.items():
        secret = isinstance(settings[name], Secret)
        try:
            parse(settings[name].reveal() if secret else settings[name])
        except ValueError as error:
            yield f"{name.upper()}{' is ***' if secret else ''}: {error}"
    if settings["environment"] != "local":
        for name in _LOCAL_ONLY:
            if settings[name] not in ("", "https"):
                yield f"{name.upper()} is for ENVIRONMENT=local only; unset it"
    for rule in ORDERED:
        yield from _order(settings, *rule)


def _order(
    settings: Mapping[str, Any], lower: str, upper: str, factor: float, why: str
) -> Iterator[str]:
    small_s, large_s = settings[lower], settings[upper]
    # Without a factor, equal is too large.
    if not (small_s < large_s if factor == 1 else small_s * factor <= large_s):
        times = f" times {factor:g}" if factor != 1 else ""
        yield (
            f"{lower.upper()} is {small_s:g}, which{times} is not below {upper.upper()}, "
            f"{large_s:g}: {why} only then; lower the one or raise the other"
        )


def _providers(settings: Mapping[str, Any]) -> Iterator[str]:
    names, default = settings["providers"].split(","), settings["default_provider"]
    for name in names:
        if name not in NAMES:
            yield f"PROVIDERS names {name!r}; allowed: {', '.join(NAMES)}"
    if default not in names:
        yield f"DEFAULT_PROVIDER is {default!r}, which PROVIDERS does not name; add it"


def _secrets(settings: Mapping[str, Any]) -> Iterator[str]:
    if 0 < len(settings["jwt_secret"].reveal().encode()) < MIN_HS256_KEY_BYTES:
        yield f"JWT_SECRET has fewer than {MIN_HS256_KEY_BYTES} bytes; HS256 needs that many"
    for name in (f"{provider}_webhook_secrets" for provider in NAMES):
        if any(len(each) < MIN_WEBHOOK_SECRET for each in listed(settings[name].reveal())):
            yield f"{name.upper()} has a secret of fewer than {MIN_WEBHOOK_SECRET} characters"
