"""What must fit together in a stack's settings that are right one by one.

Each function yields sentences that name the key, what is wrong, and what to do.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

from infra import labels, peers, service_settings
from infra.quantities import amount
from infra.reading import unknown_keys
from infra.sections import SURGE_PERCENT, Peer, Resources, StackConfig
from service.addresses import networks
from service.settings import Settings, SettingsError, env_name

SETTINGS: Final = "coinslot:settings"
WIDEST_TRUST: Final = 8
"""Bits of the widest network that is believed: 10.0.0.0/8."""
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
CALLED: Final = ("library", "game_catalog")
"""Whose URL the service calls whatever the providers are."""


def problems(config: StackConfig, secret_keys: Collection[str]) -> list[str]:
    """Return everything that does not fit together. `secret_keys` are encrypted in the file."""
    found = [*_bounds(config), *peers.problems(config.network), *_secrets(config, secret_keys)]
    service = list(
        service_settings.problems(config.stack, config.image.tag, config.settings, SETTINGS)
    )
    if service:
        return [*found, *service]
    plain = config.plain_values
    settings = service_settings.parsed(plain)
    found += [*_connections(config, settings), *_timeouts(settings), *_calls(config, settings)]
    found += [*_formed(config, plain)]
    if config.stack != "local":
        found += [*_shared(config, settings)]
    if config.stack == "prod":
        found += [*_production(config, settings)]
    return [*found, *_dependencies(config)]


def _bounds(config: StackConfig) -> Iterator[str]:
    scaling = config.api.autoscaling
    if scaling.min_replicas >= scaling.max_replicas:
        yield (
            f"coinslot:api.autoscaling.minReplicas is {scaling.min_replicas}, not below "
            f"maxReplicas {scaling.max_replicas}; an autoscaler needs room"
        )
    for where, resources in (
        ("coinslot:api.resources", config.api.resources),
        ("coinslot:worker.resources", config.worker.resources),
    ):
        yield from _above_limit(where, resources)


def _above_limit(where: str, resources: Resources) -> Iterator[str]:
    for key in ("cpu", "memory", "ephemeral_storage"):
        asked, most = getattr(resources.requests, key), getattr(resources.limits, key)
        if amount(asked) > amount(most):
            yield (
                f"{where}.requests.{_camel(key)} is {asked}, above limits.{_camel(key)} {most}; "
                "lower the one or raise the other"
            )


def _secrets(config: StackConfig, secret_keys: Collection[str]) -> Iterator[str]:
    source, given = config.secrets.source, config.secret_values
    if source == "placeholder" and config.target == "cluster":
        yield (
            "coinslot:secrets.source is placeholder, which no pod can run with; with "
            "coinslot:target: cluster use existing or stack"
        )
    if source == "placeholder" and config.stack != "local":
        yield (
            f"coinslot:secrets.source is placeholder, and {config.stack} is no stack to play with; "
            "use existing or stack"
        )
    if given and source != "stack":
        yield f"coinslot:secretValues needs coinslot:secrets.source: stack, and it is {source}"
    if given and "secretValues" not in secret_keys:
        yield (
            "coinslot:secretValues is in plain text; set each value by `pulumi config set "
            f"--secret --path 'coinslot:secretValues.NAME' -s {config.stack}`"
        )
    names = service_settings.secret_names()
    yield from unknown_keys(given, names, "coinslot:secretValues.")


def _formed(config: StackConfig, plain: Mapping[str, str]) -> Iterator[str]:
    """Let a pod start with the secret values that are given; a comparison has placeholders."""
    known = service_settings.secret_names()
    given = {
        name: value
        for name, value in config.secret_values.items()
        if config.secrets.source == "stack"
        and name in known
        and value
        and value != labels.PLACEHOLDER
    }
    try:
        service_settings.parsed(plain, given)
    except SettingsError as error:
        yield from (
            f"coinslot:secretValues: {line.strip()}" for line in str(error).splitlines()[1:]
        )


def _connections(config: StackConfig, settings: Settings) -> Iterator[str]:
    """Count every pod of a rollout at full scale, and the migration's connections."""
    wanted = (config.api.autoscaling.max_replicas, config.worker.replicas)
    pods = sum(most + math.ceil(most * SURGE_PERCENT / 100) for most in wanted)
    migration, free = labels.MIGRATION_CONNECTIONS, config.database.available
    needed = pods * settings.db_pool_size + migration
    if needed > free:
        yield (
            f"{SETTINGS}.db_pool_size is {settings.db_pool_size}: {pods} pods, at full scale and "
            f"in a rollout, need {needed} connections, and coinslot:database leaves "
            f"{max(free, 0)}; take at most {max((free - migration) // pods, 0)}, lower "
            "coinslot:api.autoscaling.maxReplicas or raise coinslot:database.maxConnections"
        )


def _timeouts(settings: Settings) -> Iterator[str]:
    """Let a pod that stops end the requests that it has; the service checks the other orders."""
    request_s, drain_s = settings.request_timeout_s, settings.shutdown_drain_s
    if request_s >= drain_s:
        yield (
            f"{SETTINGS}.request_timeout_s is {request_s:g} s, which is not below "
            f"shutdown_drain_s, {drain_s:g} s: a pod that stops ends the requests that it has "
            "only then; lower the one or raise the other"
        )


def _calls(config: StackConfig, settings: Settings) -> Iterator[str]:
    """Let the network's peers be where the URLs lead that are called."""
    called = [peer for several in config.network.services.values() for peer in several]
    for name in (*settings.provider_names, *CALLED):
        key = f"{SETTINGS}.{name}_url"
        try:
            url = urlsplit(settings.value(f"{name}_url"))
            host, port = url.hostname or "", url.port or DEFAULT_PORTS[url.scheme]
        except ValueError as error:
            yield f"{key}: {error}; give a URL such as http://library.library.svc:8080"
            continue
        if url.username or url.password:
            yield f"{key} holds a login, and is written into a ConfigMap; leave it out"
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


def _shared(config: StackConfig, settings: Settings) -> Iterator[str]:
    """Yield what is wrong on a cluster that others reach."""
    if config.dependencies:
        yield (
            f"coinslot:dependencies is for the stack local: {config.stack} has a database and a "
            "cache of its own; remove it"
        )
    if config.image.repository.startswith("localhost"):
        yield f"coinslot:image.repository is {config.image.repository}; name a registry"
    if settings.rate_limit_address and not settings.trusted_proxies:
        yield (
            f"{SETTINGS}.trusted_proxies is empty: behind the ingress every client has its "
            "address, and rate_limit_address counts them as one; name the network of the "
            "cluster's pods"
        )
    for network in networks(settings.trusted_proxies):
        if network.prefixlen < WIDEST_TRUST or not network.is_private:
            yield (
                f"{SETTINGS}.trusted_proxies has {network}: any client there can pretend to be "
                "another; name the network of the cluster's pods"
            )
    url = settings.of_providers["stripe"].url
    if not url.startswith("https:"):
        yield f"{SETTINGS}.stripe_url is {url}; the key needs https"


def _production(config: StackConfig, settings: Settings) -> Iterator[str]:
    """Yield what is right anywhere but where money moves."""
    if "simulator" in settings.provider_names:
        yield (
            f"{SETTINGS}.providers names simulator: it answers and moves no money; name stripe "
            "alone, in default_provider as well"
        )
    if settings.log_level == "debug":
        yield f"{SETTINGS}.log_level is debug, which writes far more than is kept; use info"
    for name in ("rate_limit_user", "rate_limit_address", "rate_limit_webhooks"):
        if getattr(settings, name) == 0:
            yield f"{SETTINGS}.{name} is 0, which is no limit at all; give one"
    if config.target == "cluster" and not config.image.digest:
        yield (
            "coinslot:image.digest is missing: a tag can be pushed again; give the digest that ran "
            "in staging"
        )


def _dependencies(config: StackConfig) -> Iterator[str]:
    """Let what a stack brings along be what its pods are told to use."""
    if not config.dependencies or config.stack != "local":
        return
    for where, sides, port in (
        ("coinslot:network.database", config.network.database, labels.POSTGRESQL_PORT),
        ("coinslot:network.cache", config.network.cache, labels.VALKEY_PORT),
    ):
        if [(peer.namespace, peer.port) for peer in sides] != [(config.namespace, port)]:
            yield (
                f"{where} is elsewhere; with coinslot:dependencies it is "
                f"{{namespace: {config.namespace}, port: {port}}}"
            )
    if config.secrets.source == "existing":
        yield (
            "coinslot:secrets.source is existing, and the database of coinslot:dependencies is set "
            "up with the password in DATABASE_URL; use stack"
        )
    url = config.secret_values.get("DATABASE_URL")
    host = labels.resource_name(labels.POSTGRESQL)
    if url and url != labels.PLACEHOLDER and not _is_ours(url, host):
        yield (
            f"coinslot:secretValues.{env_name('database_url')} has no user, password or database, "
            f"or another host; with coinslot:dependencies it is postgresql://USER:PASSWORD@{host}/NAME"
        )


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


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
