"""What must fit together in a stack's settings that are right one by one.

Each check yields sentences that name the key, what is wrong, and what to do. One that asks for a
value that could not be read ends there: what is wrong with that has been said.
"""

import math
from collections.abc import Callable, Collection, Iterator
from typing import Final
from urllib.parse import unquote, urlsplit

from infra import labels, peers, service_settings
from infra.config_reader import UNREAD, as_far_as_read, unknown_keys
from infra.quantities import amount
from infra.sections import SURGE_PERCENT, Peer, StackConfig
from infra.service_settings import WHERE as SETTINGS
from service.addresses import networks
from service.settings import SettingsError, env_name

Check = Callable[[StackConfig], Iterator[str]]

WIDEST_TRUST: Final = 8
"""Bits of the widest network that is believed: 10.0.0.0/8."""
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
CALLED: Final = ("library", "game_catalog")
"""Whose URL the service calls whatever the providers are."""
LIMITS: Final = ("rate_limit_user", "rate_limit_address", "rate_limit_webhooks")
AMOUNTS: Final = {"cpu": "cpu", "memory": "memory", "ephemeral_storage": "ephemeralStorage"}


def problems(config: StackConfig, secret_keys: Collection[str]) -> list[str]:
    """Return everything that does not fit together. `secret_keys` are encrypted in the file."""
    checks = [*CHECKS]
    if config.stack != "local":
        checks += SHARED
    if config.stack == "prod":
        checks += PRODUCTION
    said: list[Iterator[str]] = [check(config) for check in checks]
    said += [_requests_within_limits(config, *place) for place in _amounts()]
    said += [_called(config, name) for name in CALLED]
    said += [_providers_called(config), _secrets_encrypted(config, secret_keys)]
    said += [*peers.checks(config)]
    return [text for each in said for text in as_far_as_read(each)]


def _autoscaler_has_room(config: StackConfig) -> Iterator[str]:
    scaling = config.api.autoscaling
    if scaling.min_replicas >= scaling.max_replicas:
        yield (
            f"coinslot:api.autoscaling.minReplicas is {scaling.min_replicas}, not below "
            f"maxReplicas {scaling.max_replicas}; an autoscaler needs room"
        )


def _amounts() -> Iterator[tuple[str, str]]:
    return ((role, key) for role in (labels.API, labels.WORKER) for key in AMOUNTS)


def _requests_within_limits(config: StackConfig, role: str, key: str) -> Iterator[str]:
    resources = getattr(config, role).resources
    asked, most = getattr(resources.requests, key), getattr(resources.limits, key)
    if amount(asked) > amount(most):
        name = AMOUNTS[key]
        yield (
            f"coinslot:{role}.resources.requests.{name} is {asked}, above limits.{name} {most}; "
            "lower the one or raise the other"
        )


def _placeholders_rendered(config: StackConfig) -> Iterator[str]:
    if config.secrets.source == "placeholder" and config.target == "cluster":
        yield (
            "coinslot:secrets.source is placeholder, which no pod can run with; with "
            "coinslot:target: cluster use existing or stack"
        )


def _placeholders_local(config: StackConfig) -> Iterator[str]:
    if config.secrets.source == "placeholder" and config.stack != "local":
        yield (
            f"coinslot:secrets.source is placeholder, and {config.stack} is no stack to play with; "
            "use existing or stack"
        )


def _secrets_used(config: StackConfig) -> Iterator[str]:
    source = config.secrets.source
    if config.secret_values and source != "stack":
        yield f"coinslot:secretValues needs coinslot:secrets.source: stack, and it is {source}"


def _secrets_encrypted(config: StackConfig, secret_keys: Collection[str]) -> Iterator[str]:
    if config.secret_values and "secretValues" not in secret_keys:
        yield (
            "coinslot:secretValues is in plain text; set each value by `pulumi config set "
            f"--secret --path 'coinslot:secretValues.NAME' -s {config.stack}`"
        )


def _secrets_known(config: StackConfig) -> Iterator[str]:
    names = service_settings.secret_names()
    yield from unknown_keys(config.secret_values, names, "coinslot:secretValues.")


def _secrets_formed(config: StackConfig) -> Iterator[str]:
    """Let a pod start with the secret values that are given; a comparison has placeholders."""
    known = service_settings.secret_names()
    given = {
        name: value
        for name, value in config.secret_values.items()
        if config.secrets.source == "stack"
        and name in known
        and value is not UNREAD
        and value not in ("", labels.PLACEHOLDER)
    }
    anyway = _refused(config, {})
    yield from (
        f"coinslot:secretValues: {line}" for line in _refused(config, given) if line not in anyway
    )


def _refused(config: StackConfig, secrets: dict[str, str]) -> list[str]:
    """Return why a pod would not start with these secrets."""
    try:
        service_settings.parsed(config.environment, secrets)
    except SettingsError as error:
        return service_settings.lines(error)
    return []


def _connections_suffice(config: StackConfig) -> Iterator[str]:
    """Count every pod of a rollout at full scale, and the migration's connections."""
    wanted = (config.api.autoscaling.max_replicas, config.worker.replicas)
    size, free = config.service.db_pool_size, config.database.available
    pods = sum(most + math.ceil(most * SURGE_PERCENT / 100) for most in wanted)
    migration = labels.MIGRATION_CONNECTIONS
    needed = pods * size + migration
    if needed > free:
        yield (
            f"{SETTINGS}.db_pool_size is {size}: {pods} pods, at full scale and "
            f"in a rollout, need {needed} connections, and coinslot:database leaves "
            f"{max(free, 0)}; take at most {max((free - migration) // pods, 0)}, lower "
            "coinslot:api.autoscaling.maxReplicas or raise coinslot:database.maxConnections"
        )


def _drain_outlasts_requests(config: StackConfig) -> Iterator[str]:
    """Let a pod that stops end the requests that it has; the service checks the other orders."""
    request_s, drain_s = config.service.request_timeout_s, config.service.shutdown_drain_s
    if request_s >= drain_s:
        yield (
            f"{SETTINGS}.request_timeout_s is {request_s:g} s, which is not below "
            f"shutdown_drain_s, {drain_s:g} s: a pod that stops ends the requests that it has "
            "only then; lower the one or raise the other"
        )


def _providers_called(config: StackConfig) -> Iterator[str]:
    for name in config.service.provider_names:
        yield from as_far_as_read(_called(config, name))


def _called(config: StackConfig, name: str) -> Iterator[str]:
    """Let the network's peers be where a URL leads that is called."""
    key = f"{SETTINGS}.{name}_url"
    if not hasattr(config.service, f"{name}_url"):
        return
    try:
        url = urlsplit(str(getattr(config.service, f"{name}_url")))
        host, port = url.hostname or "", url.port or DEFAULT_PORTS[url.scheme]
    except ValueError as error:
        yield f"{key}: {error}; give a URL such as http://library.library.svc:8080"
        return
    if url.username or url.password:
        yield f"{key} holds a login, and is written into a ConfigMap; leave it out"
    called = [peer for several in config.network.services.values() for peer in several]
    there = [peer for peer in called if peer.port == port]
    if not there:
        yield (
            f"{key} is on port {port}, and no peer of "
            "coinslot:network.services has it; add one, or the pods can't reach it"
        )
    elif not any(_leads_to(peer, host, config.namespace) for peer in there):
        yield (
            f"{key} is at {host}, and no peer of coinslot:network.services with port {port} "
            "is there; add one, or the pods can't reach it"
        )


def _leads_to(peer: Peer, host: str, own_namespace: str) -> bool:
    """Say whether a peer may be where a host is; a range of addresses may be anywhere.

    `library` and `library.games.svc` are Services of a namespace, other names are of the outside.
    """
    if peer.namespace is None:
        return True
    name, _, rest = host.partition(".")
    namespace, _, domain = rest.partition(".")
    inside = not rest or domain.partition(".")[0] == "svc"
    return bool(name) and inside and peer.namespace == (namespace or own_namespace)


def _no_own_servers(config: StackConfig) -> Iterator[str]:
    if config.dependencies is not None:
        yield (
            f"coinslot:dependencies is for the stack local: {config.stack} has a database and a "
            "cache of its own; remove it"
        )


def _image_published(config: StackConfig) -> Iterator[str]:
    if config.image.repository.startswith("localhost"):
        yield f"coinslot:image.repository is {config.image.repository}; name a registry"


def _proxies_named(config: StackConfig) -> Iterator[str]:
    if config.service.rate_limit_address and not config.service.trusted_proxies:
        yield (
            f"{SETTINGS}.trusted_proxies is empty: behind the ingress every client has its "
            "address, and rate_limit_address counts them as one; name the network of the "
            "cluster's pods"
        )


def _proxies_near(config: StackConfig) -> Iterator[str]:
    try:
        trusted = networks(config.service.trusted_proxies)
    except ValueError:
        return  # which the service says itself
    for network in trusted:
        if network.prefixlen < WIDEST_TRUST or not network.is_private:
            yield (
                f"{SETTINGS}.trusted_proxies has {network}: any client there can pretend to be "
                "another; name the network of the cluster's pods"
            )


def _key_encrypted(config: StackConfig) -> Iterator[str]:
    if not config.service.stripe_url.startswith("https:"):
        yield f"{SETTINGS}.stripe_url is {config.service.stripe_url}; the key needs https"


def _money_moves(config: StackConfig) -> Iterator[str]:
    if "simulator" in config.service.provider_names:
        yield (
            f"{SETTINGS}.providers names simulator: it answers and moves no money; name stripe "
            "alone, in default_provider as well"
        )


def _logs_kept(config: StackConfig) -> Iterator[str]:
    if config.service.log_level == "debug":
        yield f"{SETTINGS}.log_level is debug, which writes far more than is kept; use info"


def _limits_given(config: StackConfig) -> Iterator[str]:
    for name in LIMITS:
        limit = getattr(config.service, name)
        if limit is not UNREAD and limit == 0:
            yield f"{SETTINGS}.{name} is 0, which is no limit at all; give one"


def _image_pinned(config: StackConfig) -> Iterator[str]:
    if config.target == "cluster" and not config.image.digest:
        yield (
            "coinslot:image.digest is missing: a tag can be pushed again; give the digest that ran "
            "in staging"
        )


def _own_database(config: StackConfig) -> Iterator[str]:
    return _own_server(config, "database", labels.POSTGRESQL_PORT)


def _own_cache(config: StackConfig) -> Iterator[str]:
    return _own_server(config, "cache", labels.VALKEY_PORT)


def _own_server(config: StackConfig, name: str, port: int) -> Iterator[str]:
    """Let what a stack brings along be what its pods are told to use."""
    there = [(peer.namespace, peer.port) for peer in getattr(config.network, name)]
    if _brings_servers(config) and there != [(config.namespace, port)]:
        yield (
            f"coinslot:network.{name} is elsewhere; with coinslot:dependencies it is "
            f"{{namespace: {config.namespace}, port: {port}}}"
        )


def _own_password(config: StackConfig) -> Iterator[str]:
    if _brings_servers(config) and config.secrets.source == "existing":
        yield (
            "coinslot:secrets.source is existing, and the database of coinslot:dependencies is set "
            "up with the password in DATABASE_URL; use stack"
        )


def _own_url(config: StackConfig) -> Iterator[str]:
    url = config.secret_values.get("DATABASE_URL")
    host = labels.resource_name(labels.POSTGRESQL)
    if _brings_servers(config) and url and url != labels.PLACEHOLDER and not _is_ours(url, host):
        yield (
            f"coinslot:secretValues.{env_name('database_url')} has no user, password or database, "
            f"or another host; with coinslot:dependencies it is postgresql://USER:PASSWORD@{host}/NAME"
        )


def _brings_servers(config: StackConfig) -> bool:
    return config.dependencies is not None and config.stack == "local"


CHECKS: Final[tuple[Check, ...]] = (
    _autoscaler_has_room,
    _placeholders_rendered,
    _placeholders_local,
    _secrets_used,
    _secrets_known,
    _secrets_formed,
    _connections_suffice,
    _drain_outlasts_requests,
    _own_database,
    _own_cache,
    _own_password,
    _own_url,
)
SHARED: Final[tuple[Check, ...]] = (
    _no_own_servers,
    _image_published,
    _proxies_named,
    _proxies_near,
    _key_encrypted,
)
"""On a cluster that others reach."""
PRODUCTION: Final[tuple[Check, ...]] = (_money_moves, _logs_kept, _limits_given, _image_pinned)
"""Where money moves."""


def _is_ours(url: str, host: str) -> bool:
    """Say whether a URL leads to the database that the stack brings along, as a user of it."""
    try:
        parts = urlsplit(url)
        at = (parts.hostname, parts.port or labels.POSTGRESQL_PORT)
    except ValueError:  # whose message repeats the URL
        return False
    return at == (host, labels.POSTGRESQL_PORT) and all(database_parts(url).values())


def database_parts(url: str) -> dict[str, str]:
    """Return user, password and database of a URL; what is missing is empty."""
    parts = urlsplit(url)
    return {
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "database": unquote(parts.path.removeprefix("/")),
    }
