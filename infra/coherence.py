"""What must fit together in a stack's settings that are right one by one.

Each problem names the key, what is wrong, and what to do. A question that rests on a value which
could not be read has no answer: the problem of that value is reported already.
"""

import math
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Final
from urllib.parse import unquote, urlsplit

from infra import labels, peers, service_settings
from infra.config_reader import UNREAD, as_far_as_read, read_or, unknown_keys
from infra.quantities import amount
from infra.sections import SURGE_PERCENT, Peer, StackConfig
from infra.service_settings import WHERE as SETTINGS
from service.addresses import networks
from service.settings import SettingsError, env_name, fields

Question = Callable[[], str | bool]
"""Answered by a problem, or by False where there is none."""

WIDEST_TRUST: Final = 8
"""Bits of the widest network that is believed: 10.0.0.0/8."""
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
CALLED: Final = ("library", "game_catalog")
"""Whose URL the service calls whatever the providers are."""
LIMITS: Final = ("rate_limit_user", "rate_limit_address", "rate_limit_webhooks")
VALUES: Final = "coinslot:secretValues"
_SECRETS: Final = service_settings.secret_names()
AMOUNTS: Final = {"cpu": "cpu", "memory": "memory", "ephemeral_storage": "ephemeralStorage"}


def problems(config: StackConfig, secret_keys: Collection[str]) -> list[str]:
    """Return everything that does not fit together. `secret_keys` are encrypted in the file."""
    asked = [*_bounds(config), *_secrets(config, secret_keys), *_own_servers(config)]
    asked += _shared(config) if config.stack != "local" else ()
    asked += _production(config) if config.stack == "prod" else ()
    answers = (read_or(default=False, ask=question) for question in asked)
    called = (*CALLED, *read_or((), lambda: config.service.provider_names))
    longer = [
        unknown_keys(read_or((), lambda: [*config.secret_values]), _SECRETS, f"{VALUES}."),
        _secrets_formed(config),
        _connections_suffice(config),
        *(_called(config, name) for name in dict.fromkeys(called)),
        _proxies_near(config) if config.stack != "local" else (),
        *peers.checks(config),
    ]
    return [
        *(answer for answer in answers if isinstance(answer, str)),
        *(text for each in longer for text in as_far_as_read(each)),
    ]


def _bounds(config: StackConfig) -> Iterator[Question]:
    api, service = config.api, config.service
    yield lambda: (
        api.autoscaling.min_replicas >= api.autoscaling.max_replicas
        and f"coinslot:api.autoscaling.minReplicas is {api.autoscaling.min_replicas}, not below "
        f"maxReplicas {api.autoscaling.max_replicas}; an autoscaler needs room"
    )
    for role in (labels.API, labels.WORKER):
        for key, name in AMOUNTS.items():
            yield partial(_above_limit, config, role, key, name)
    # A pod that stops ends the requests that it has; the service checks the other orders.
    yield lambda: (
        service.request_timeout_s >= service.shutdown_drain_s
        and f"{SETTINGS}.request_timeout_s is {service.request_timeout_s:g} s, which is not below "
        f"shutdown_drain_s, {service.shutdown_drain_s:g} s: a pod that stops ends the requests "
        "that it has only then; lower the one or raise the other"
    )


def _above_limit(config: StackConfig, role: str, key: str, name: str) -> str | bool:
    resources = getattr(config, role).resources
    asked, most = getattr(resources.requests, key), getattr(resources.limits, key)
    return amount(asked) > amount(most) and (
        f"coinslot:{role}.resources.requests.{name} is {asked}, above limits.{name} {most}; "
        "lower the one or raise the other"
    )


def _secrets(config: StackConfig, secret_keys: Collection[str]) -> Iterator[Question]:
    secrets = config.secrets
    yield lambda: (
        secrets.source == "placeholder"
        and config.target == "cluster"
        and "coinslot:secrets.source is placeholder, which no pod can run with; with "
        "coinslot:target: cluster use existing or stack"
    )
    yield lambda: (
        secrets.source == "placeholder"
        and config.stack != "local"
        and f"coinslot:secrets.source is placeholder, and {config.stack} is shared; "
        "use existing or stack"
    )
    yield lambda: (
        bool(config.secret_values)
        and secrets.source != "stack"
        and f"{VALUES} needs coinslot:secrets.source: stack, and it is {secrets.source}"
    )
    yield lambda: (
        bool(config.secret_values)
        and "secretValues" not in secret_keys
        and f"{VALUES} is in plain text; set each value by `pulumi config set "
        f"--secret --path '{VALUES}.NAME' -s {config.stack}`"
    )


def _secrets_formed(config: StackConfig) -> Iterator[str]:
    """Let a pod start with the secret values that are given; a comparison has placeholders."""
    given = {
        name: value
        for name, value in config.secret_values.items()
        if config.secrets.source == "stack"
        and name in _SECRETS
        and value is not UNREAD
        and value not in ("", labels.PLACEHOLDER)
    }
    anyway = _refused(config, {})
    yield from (f"{VALUES}: {line}" for line in _refused(config, given) if line not in anyway)


def _refused(config: StackConfig, secrets: dict[str, str]) -> list[str]:
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


def _called(config: StackConfig, name: str) -> Iterator[str]:
    """Let the network's peers be where a URL leads that is called."""
    key = f"{SETTINGS}.{name}_url"
    if f"{name}_url" not in fields():
        return
    try:
        url = urlsplit(str(config.service.value(f"{name}_url")))
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


def _shared(config: StackConfig) -> Iterator[Question]:
    """Ask what matters on a cluster that others reach."""
    service = config.service
    yield lambda: (
        config.dependencies is not None
        and f"coinslot:dependencies is for the stack local: {config.stack} has a database and a "
        "cache of its own; remove it"
    )
    yield lambda: (
        config.api.autoscaling.active_payments == 0
        and f"coinslot:api.autoscaling.activePayments is 0: {config.stack} scales by it; give a "
        "target, and let prometheus-adapter serve it"
    )
    yield lambda: (
        config.image.repository.startswith("localhost")
        and f"coinslot:image.repository is {config.image.repository}; name a registry"
    )
    yield lambda: (
        bool(service.rate_limit_address)
        and not service.trusted_proxies
        and f"{SETTINGS}.trusted_proxies is empty: behind the ingress every client has its "
        "address, and rate_limit_address counts them as one; name the network of the "
        "cluster's pods"
    )
    yield lambda: (
        not (url := service.of_providers["stripe"].url).startswith("https:")
        and f"{SETTINGS}.stripe_url is {url}; the key needs https"
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


def _production(config: StackConfig) -> Iterator[Question]:
    """Ask what is right anywhere but where money moves."""
    service = config.service
    yield lambda: (
        "simulator" in service.provider_names
        and f"{SETTINGS}.providers names simulator: it answers and moves no money; name stripe "
        "alone, in default_provider as well"
    )
    yield lambda: (
        service.log_level == "debug"
        and f"{SETTINGS}.log_level is debug, which writes far more than is kept; use info"
    )
    for name in LIMITS:
        yield partial(_no_limit, config, name)
    yield lambda: (
        config.target == "cluster"
        and not config.image.digest
        and "coinslot:image.digest is missing: a tag can be pushed again; give the digest that ran "
        "in staging"
    )


def _no_limit(config: StackConfig, name: str) -> str | bool:
    limit = getattr(config.service, name)
    return limit == 0 and f"{SETTINGS}.{name} is 0, which is no limit at all; give one"


def _own_servers(config: StackConfig) -> Iterator[Question]:
    """Let what a stack brings along be what its pods use."""
    if config.dependencies is None or config.stack != "local":
        return
    yield partial(_elsewhere, config, "database", labels.POSTGRESQL_PORT)
    yield partial(_elsewhere, config, "cache", labels.VALKEY_PORT)
    yield lambda: (
        config.secrets.source == "existing"
        and "coinslot:secrets.source is existing, and the database of coinslot:dependencies is set "
        "up with the password in DATABASE_URL; use stack"
    )
    for name in ("database_url", "migration_database_url"):
        yield partial(_foreign_database, config, env_name(name))
    yield partial(_one_login, config)
    cache = labels.resource_name(labels.VALKEY)
    yield lambda: (
        not _leads(config.secret_values.get("REDIS_URL"), cache, labels.VALKEY_PORT)
        and f"{VALUES}.{env_name('redis_url')} leads elsewhere; with coinslot:dependencies it is "
        f"redis://{cache}:{labels.VALKEY_PORT}/0"
    )


def _foreign_database(config: StackConfig, variable: str) -> str | bool:
    url, host = config.secret_values.get(variable), labels.resource_name(labels.POSTGRESQL)
    ours = _leads(url, host, labels.POSTGRESQL_PORT)
    complete = not _is_given(url) or (ours and all(database_parts(str(url)).values()))
    return not complete and (
        f"{VALUES}.{variable} has no user, password or database, or another host; with "
        f"coinslot:dependencies it is postgresql://USER:PASSWORD@{host}/NAME"
    )


def _one_login(config: StackConfig) -> str | bool:
    """Say what is wrong with the two logins of one database, of which one owns nothing."""
    urls = [config.secret_values.get(name) for name in ("DATABASE_URL", "MIGRATION_DATABASE_URL")]
    if not all(map(_is_given, urls)):
        return False
    try:
        service, owner = (database_parts(str(url)) for url in urls)
    except ValueError:  # which is said of the URL itself, without repeating it
        return False
    if service["database"] != owner["database"]:
        return (
            f"{VALUES}.DATABASE_URL and MIGRATION_DATABASE_URL name two databases; "
            "coinslot:dependencies brings one"
        )
    return service["user"] == owner["user"] and (
        f"{VALUES}.DATABASE_URL has the owner's user, that of MIGRATION_DATABASE_URL; name another "
        "one, which coinslot:dependencies makes a login that owns nothing"
    )


def _elsewhere(config: StackConfig, name: str, port: int) -> str | bool:
    there = [(peer.namespace, peer.port) for peer in getattr(config.network, name)]
    return there != [(config.namespace, port)] and (
        f"coinslot:network.{name} is elsewhere; with coinslot:dependencies it is "
        f"{{namespace: {config.namespace}, port: {port}}}"
    )


def _is_given(url: str | None) -> bool:
    return bool(url) and url != labels.PLACEHOLDER


def _leads(url: str | None, host: str, port: int) -> bool:
    """Say whether a URL, if there is one, is of a server that the stack brings."""
    if not _is_given(url):
        return True
    try:
        parts = urlsplit(str(url))
        there = (parts.hostname, parts.port or port)
    except ValueError:  # whose message repeats the URL
        return False
    return there == (host, port)


def database_parts(url: str) -> dict[str, str]:
    """Return user, password and database of a URL; what is missing is empty."""
    parts = urlsplit(url)
    return {
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "database": unquote(parts.path.removeprefix("/")),
    }
