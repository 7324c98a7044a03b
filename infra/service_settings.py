"""The service's environment, derived from service/settings.py and a stack's settings.

Every field that is no secret gets an explicit value here, so that a reviewer sees in the manifest
what a pod runs with. Which role is given which secret is in service/secret_use.py.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from infra import labels
from infra.config_reader import UNREAD, UnreadError, unknown_keys
from service.jwt_keys import MIN_HS256_KEY_BYTES
from service.secret_use import ROLES, Hs256, Role
from service.secret_use import secrets_of as _secrets_of
from service.settings import Settings, SettingsError, assemble, env_name, fields, load
from service.settings import secret_fields as _secret_fields

Scalar = str | int | float

WHERE: Final = "coinslot:settings"
DERIVED: Final[Mapping[str, str]] = {
    "environment": "the stack's name",
    "host": "coinslot:network.ipFamilies",
    "port": "infra/labels.py",
    "ops_port": "infra/labels.py",
    "version": "coinslot:image.tag",
}
"""Fields that follow from something else, and from what."""

OWN_SERVERS: Final = ("MIGRATION_DATABASE_URL", "REDIS_URL")
"""Secrets of a stack that brings PostgreSQL and Valkey along: so both logins and both are used."""

HOSTS: Final = {"IPv4": "0.0.0.0", "IPv6": "::"}  # noqa: S104  a NetworkPolicy guards the pods
"""Where a pod listens, by the families of its addresses."""

NOTHING: Final[Mapping[str, str]] = {}
_PLACEHOLDER: Final = "x" * MIN_HS256_KEY_BYTES
"""Satisfies every check of a secret, where only the other settings are looked at."""
FORMED: Final = {
    "JWT_KEYS": json.dumps([{"kid": "placeholder", "alg": "HS256", "key": _PLACEHOLDER}]),
    "WEBHOOK_MASTER_KEYS": "",
}
"""The same of secrets that have a form to hold."""


def plain_values(
    stack: str, version: str, chosen: Mapping[str, Scalar], families: Sequence[str] = ("IPv4",)
) -> dict[str, str]:
    """Return environment variable to text for every field that is no secret."""
    derived = {
        "host": ",".join(HOSTS[family] for family in families),
        "environment": stack,
        "port": labels.HTTP_PORT,
        "ops_port": labels.OPS_PORT,
        "version": version,
    }
    defaults = {
        name: field.default for name, field in fields().items() if name not in _secret_fields()
    }
    return {
        env_name(name): _text(value) for name, value in {**defaults, **chosen, **derived}.items()
    }


def secret_names() -> tuple[str, ...]:
    return tuple(env_name(name) for name in _secret_fields())


def secrets_of(role: Role, values: Mapping[str, str]) -> dict[str, bool]:
    """Return the secret variables of a role, each with whether its pods don't start without.

    `values` are the variables that are no secret.
    """
    found = _secrets_of((role,), _providers(values), _hs256(values))
    return {env_name(name): needed for name, needed in found.items()}


def required_secret_names(values: Mapping[str, str]) -> tuple[str, ...]:
    """Return the secret variables without which one of the roles does not start."""
    found = _secrets_of(ROLES, _providers(values), _hs256(values))
    return tuple(env_name(name) for name, needed in found.items() if needed)


def _providers(values: Mapping[str, str]) -> list[str]:
    return values.get("PROVIDERS", "").split(",")


def _hs256(values: Mapping[str, str]) -> Hs256:
    return "off" if values.get("JWT_HS256") == "off" else "on"


def parsed(values: Mapping[str, str], given: Mapping[str, str] = NOTHING) -> Settings:
    """Return the settings as a pod with these plain values reads them; raise SettingsError.

    `given` are the secrets as far as they are known; the error does not repeat them.
    """
    secrets = dict.fromkeys(secret_names(), _PLACEHOLDER) | FORMED
    return load({**values, **secrets, **given})


def resolved(
    stack: str,
    version: str,
    chosen: Mapping[str, Scalar],
    families: Sequence[str],
    problems: list[str],
) -> tuple[dict[str, str], Settings]:
    """Return the pods' plain environment and what they read from it.

    UNREAD is each setting that can't be read; what is wrong is added to `problems`.
    """
    try:
        names = list(chosen)
    except UnreadError:
        return UNREAD, UNREAD
    plain = [name for name in fields() if name not in _secret_fields()]
    problems += unknown_keys(names, plain, WHERE + ".")
    problems += [
        f"{WHERE}.{name} is derived from {source}; remove it"
        for name, source in DERIVED.items()
        if name in names
    ]
    usable = {name: chosen[name] for name in names if name in plain and name not in DERIVED}
    unread = {name for name, value in usable.items() if value is UNREAD}
    usable = {name: value for name, value in usable.items() if name not in unread}
    environment = plain_values(stack, version, usable, families)
    try:
        settings = parsed(environment)
        values = {name: settings.value(name) for name in fields()}
    except SettingsError as error:
        problems += [f"{WHERE}: {line}" for line in lines(error)]
        values = {name: _readable(environment, name) for name in fields()}
    return environment, assemble(values | dict.fromkeys(unread, UNREAD))


def _readable(environment: Mapping[str, str], name: str) -> Any:
    """Return a setting that can be read by itself, else UNREAD; so are secrets."""
    try:
        return msgspec.convert(environment[env_name(name)], fields()[name].kind, strict=False)
    except (KeyError, msgspec.ValidationError):
        return UNREAD


def lines(error: SettingsError) -> list[str]:
    """Return what an error says, one line a problem."""
    return [line.strip() for line in str(error).splitlines()[1:]]


def _text(value: Any) -> str:
    """Return a value as a person would write it: 5 and not 5.0, true and not True."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
