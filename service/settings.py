"""Every environment variable of the service: its type, default, bounds and secrecy.

Which role needs which secret is in service/secret_use.py; here all of them may be empty.

The Deployment's ConfigMap and Secret are generated from these fields, so a setting that is added
here and not given a value there fails a test.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta

from service import settings_checks
from service.addresses import Network, networks
from service.merchant_webhooks.signing import read_master_keys
from service.providers.catalog import BY_NAME, NAMES, PROVIDERS
from service.providers.spec import ProviderSettings
from service.secret_use import OWNER, ROLES, USES, Hs256, Role, secrets_of
from service.setting_types import Count, Port, Quota, Seconds, Secret, Url, allowed, listed


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one process. A field `database_url` is read from `DATABASE_URL`."""

    # Where it runs
    environment: Literal["local", "staging", "prod"] = "local"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    host: str = "0.0.0.0"  # noqa: S104  a container's only interface; NetworkPolicy guards it
    """Addresses to listen at, separated by commas: `0.0.0.0,::` takes IPv6 as well."""
    port: Port = 8080
    """Of the API, its documents and a terse /health; a worker does not listen there."""
    ops_port: Port = 9464
    """Of /metrics and /health in detail, of both roles: for probes and Prometheus only."""
    version: str = "dev"

    # How much it takes on at a time (docs/adr/0055-admission.md)
    http_max_in_flight: Count = 1_000
    """Requests being handled, a process; one more is answered 503 at once, probes excepted."""
    http_new_target_s: Seconds = 0.25
    """Fewer new orders are taken while none is made within this: the others can then be paid."""

    # PostgreSQL, the source of truth
    database_url: Secret = Secret("")
    """Of a login with the service's privileges (docs/operate/security.md), not the owner's."""
    migration_database_url: Secret = Secret("")
    """The owner's, for the role `migrate` only; empty: `database_url` is the owner's too."""
    migration_lock_timeout_s: Seconds = 0.5
    """One wait of `migrate` for a lock; all that need the table queue behind it, readiness too."""
    migration_wait_s: Seconds = 120.0
    """All its waits, with pauses between; then it fails and names who has the lock."""
    db_pool_size: Count = 8
    """Connections for single statements, a process."""
    db_batch_connections: Annotated[int, Meta(ge=1, le=16)] = 2
    """Most connections that carry batched writes, a process and a statement kind."""
    db_batch_items: Annotated[int, Meta(ge=1, le=1_000)] = 32
    """Most writes that share a statement; a larger number gained nothing when measured."""
    db_batch_queue: Count = 2_000
    """Writes that may wait; beyond it a request is answered 503 at once."""
    db_statement_timeout_s: Seconds = 5.0

    # Valkey, a cache: empty means none, and losing it costs only speed
    redis_url: Secret = Secret("")
    cache_timeout_s: Seconds = 0.25
    game_cache_ttl_s: Seconds = 60.0

    # Bearer tokens
    jwt_hs256: Hs256 = "on"
    """Whether tokens without a `kid` are accepted; `off`: only those that name one of JWT_KEYS."""
    jwt_secret: Secret = Secret("")
    """Checks tokens without a `kid`, by HS256."""
    jwt_keys: Secret = Secret("")
    """Checks tokens with a `kid`: service/jwt_keys.py. Add a new key before tokens name it."""
    jwt_issuer: str = "coinslot"
    jwt_audience: str = "coinslot-api"
    jwt_leeway_s: Annotated[float, Meta(ge=0, le=300)] = 30.0
    """How far an issuer's clock may be from ours, for `iat`, `nbf` and `exp`. With NTP hosts differ
    by less than a second, a virtual machine that was moved by some more."""

    # Rate limits: requests a minute, which may come in one burst; 0 means none
    rate_limit_user: Quota = 600
    """Of one user. A shop's page makes a handful of requests; ten a second is a program."""
    rate_limit_address: Quota = 3_000
    """Of one address, behind which a whole campus may sit."""
    rate_limit_webhooks: Quota = 6_000
    """Of one address that sends webhooks: a provider has few, and all payments pass there."""
    trusted_proxies: str = ""
    """Networks (CIDR), separated by commas, whose X-Forwarded-For is believed."""

    # Payment providers
    providers: Annotated[str, Meta(pattern=r"^[a-z]+(,[a-z]+)*$")] = NAMES[0]
    """Names, separated by commas, in the order of failover from the default."""
    default_provider: str = NAMES[0]
    of_providers: Mapping[str, ProviderSettings] = msgspec.field(default_factory=dict)
    """By name, of every provider; `STRIPE_URL` is the field `url` of `stripe`."""
    provider_timeout_s: Seconds = 5.0
    provider_max_in_flight: Count = 1_000
    """Payments and operations under way, a process and a provider; one more is answered 503."""
    breaker_failures: Annotated[int, Meta(ge=1, le=1_000)] = 10
    """Failed calls in a row that open the breaker; one lost answer is no outage."""
    breaker_open_s: Seconds = 5.0
    """How long the breaker stays open before a trial call; as long as a call's time-out."""

    # Integrations
    library_url: Url = "http://127.0.0.1:8090"
    library_token: Secret = Secret("")
    game_catalog_url: Url = "http://127.0.0.1:8090"
    integration_timeout_s: Seconds = 3.0

    # Webhooks to merchants
    webhook_master_keys: Secret = Secret("")
    """Their secrets' keys (service/merchant_webhooks/signing.py), the newest first; empty: no
    endpoint can be registered. A key is needed for as long as a secret is made by it."""
    webhook_timeout_s: Annotated[float, Meta(gt=0, le=30)] = 20.0
    """For a whole request; Standard Webhooks recommends 15 to 30 s."""
    webhook_endpoint_requests: Annotated[int, Meta(ge=1, le=100)] = 8
    """Requests in flight, a process and an endpoint; more wait."""
    webhook_disable_after_s: Annotated[float, Meta(ge=60, le=2_592_000)] = 432_000.0
    """An endpoint is disabled when every try has failed for five days."""
    webhook_retention_s: Annotated[float, Meta(ge=604_800, le=31_536_000)] = 2_592_000.0
    """Events can be sent again for 30 days; at least a week, as tries go on for three days."""
    webhook_url_schemes: Literal["https", "http+https"] = "https"
    """`http+https`, and any port, for `local` only."""
    webhook_private_networks: str = ""
    """Networks (CIDR), separated by commas, that may be sent to as well; for `local` only."""

    # Behaviour
    order_ttl_s: Seconds = 1_800.0
    """An unpaid order expires after this."""
    authorization_ttl_s: Annotated[float, Meta(gt=0, le=2_592_000)] = 518_400.0
    """A hold is canceled after this: six days, before most banks' seven."""
    request_timeout_s: Seconds = 15.0
    """Beyond this a request is answered 503; above the provider's timeout, below the lock."""
    idempotency_ttl_s: Annotated[float, Meta(ge=86_400, le=2_592_000)] = 259_200.0
    """An answer is kept for three days: longer than any client of ours repeats a request."""
    idempotency_lock_s: Seconds = 30.0
    """How long a request locks its key; twice the longest request, so its owner is surely gone."""
    unknown_retry_s: Seconds = 5.0
    """Longest wait before an unknown outcome is first checked; it doubles with each check."""
    unknown_max_checks: Annotated[int, Meta(ge=1, le=50)] = 18
    """Checks before a person decides; with waits up to 5 s, doubling to 1 h, about five hours."""
    grant_give_up_s: Seconds = 86_400.0
    """A paid game that the Library has not granted by then is refunded."""
    dispute_lost_revokes: bool = True
    """Whether a lost dispute of the whole payment revokes its games; if not, a person decides."""
    reconciliation_interval_s: Annotated[float, Meta(gt=0, le=604_800)] = 3_600.0
    """Time between two reconciliation runs with the providers and the Library."""
    reconciliation_window_s: Annotated[float, Meta(gt=0, le=2_592_000)] = 259_200.0
    """How far back a run goes: three days, to make up for a weekend without runs."""
    reconciliation_grace_s: Seconds = 900.0
    """What is younger may be in flight, and is not compared."""
    audit_seal_interval_s: Seconds = 60.0
    """Time between two seals of the audit trails: a cut before the seal can't be detected."""
    worker_poll_s: Seconds = 0.5
    """Pause of a worker that found nothing to do."""
    outbox_batch: Annotated[int, Meta(ge=1, le=1_000)] = 50
    outbox_lease_s: Seconds = 30.0
    """How long a claimed message is hidden from other workers."""
    shutdown_drain_s: Seconds = 20.0
    """Longest wait for requests in flight at SIGTERM; below the pod's grace period."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return the addresses to listen at."""
        return listed(self.host)

    @property
    def provider_names(self) -> tuple[str, ...]:
        """Return the configured providers, the default first."""
        return tuple(dict.fromkeys((self.default_provider, *self.providers.split(","))))

    @property
    def webhook_keys(self) -> dict[str, bytes]:
        """Return the master keys by name, the one for new secrets first."""
        return read_master_keys(self.webhook_master_keys.reveal())

    @property
    def webhook_networks(self) -> tuple[Network, ...]:
        """Return the networks that merchants' webhooks may reach besides all public addresses."""
        return networks(self.webhook_private_networks)

    def value(self, name: str) -> Any:
        """Return the setting that `fields` lists under this name."""
        field = fields()[name]
        return getattr(self.of_providers[field.provider] if field.provider else self, field.name)


class SettingsError(Exception):
    """One or more settings are missing or wrong; the message names each with its remedy."""


def env_name(field: str) -> str:
    """Return the environment variable that holds `field`."""
    return field.upper()


class Field(msgspec.Struct, frozen=True):
    """A setting: its provider or "", its name there, its type and its default."""

    provider: str
    name: str
    kind: Any
    default: Any


@cache
def fields() -> Mapping[str, Field]:
    """Return every setting, those of providers too, by the name that `env_name` takes."""
    found = {name: field for name, field in _fields("", Settings) if name != "of_providers"}
    for provider in PROVIDERS:
        for name, field in _fields(provider.name, provider.settings):
            found[f"{provider.name}_{name}"] = field
    return found


def _fields(provider: str, kind: type[msgspec.Struct]) -> Iterable[tuple[str, Field]]:
    hints = get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        yield field.name, Field(provider, field.name, hints[field.name], field.default)


def secret_fields() -> tuple[str, ...]:
    """Return the fields that hold secrets; they belong in a Secret, never in a ConfigMap."""
    return tuple(name for name, field in fields().items() if field.kind is Secret)


def load(environ: Mapping[str, str], role: Role | None = None) -> Settings:
    """Read the settings of a role from `environ`; raise SettingsError naming all that is wrong.

    Secrets of other roles are left alone. Without a role, those of every one are read and needed.
    """
    values = {name: field.default for name, field in fields().items()}
    secret = secret_fields()
    problems = _read([name for name in values if name not in secret], environ, values)
    roles = (role,) if role else ROLES
    needed = secrets_of(roles, values["providers"].split(","), values["jwt_hs256"])
    if role == "migrate" and not any(_given(environ, name) for name in OWNER):
        needed[OWNER[-1]] = True
    problems += [
        f"{env_name(name)} is not set; {USES[name].remedy}"
        for name, must_be in needed.items()
        if must_be and not _given(environ, name)
    ]
    problems += _read(needed, environ, values)
    problems += settings_checks.problems(values)
    if problems:
        raise SettingsError("wrong settings:\n  " + "\n  ".join(problems))
    return assemble(values)


def assemble(values: Mapping[str, Any]) -> Settings:
    """Return the settings of which each is given by the name that `fields` lists."""
    own: dict[str, Any] = {}
    of_providers: dict[str, dict[str, Any]] = {name: {} for name in NAMES}
    for name, value in values.items():
        field = fields()[name]
        (of_providers[field.provider] if field.provider else own)[field.name] = value
    return Settings(
        **own, of_providers={name: BY_NAME[name].settings(**of_providers[name]) for name in NAMES}
    )


def _read(names: Iterable[str], environ: Mapping[str, str], values: dict[str, Any]) -> list[str]:
    """Put what is given of these fields into `values`; return what is wrong with it."""
    problems = []
    for name in names:
        raw, kind = _given(environ, name), fields()[name].kind
        if not raw:
            continue
        try:
            values[name] = msgspec.convert(raw, kind, strict=False, dec_hook=_decode_secret)
        except msgspec.ValidationError as error:
            shown = "***" if kind is Secret else repr(raw)
            problems.append(f"{env_name(name)} is {shown}: {error}; allowed: {allowed(kind)}")
    return problems


def _given(environ: Mapping[str, str], name: str) -> str:
    return environ.get(env_name(name), "").strip()


def _decode_secret(kind: type, value: Any) -> Any:
    if kind is Secret:
        return Secret(str(value))
    raise NotImplementedError(kind)  # how msgspec asks for "not my type"
