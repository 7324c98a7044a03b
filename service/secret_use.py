"""Which role of the service holds which secret, and without which one it does not start.

A process reads no other secret, and its pods get no other: who breaks into a worker finds nothing
that signs in buyers, and who breaks into the API nothing that gives games away.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

from service.jwt_keys import MIN_HS256_KEY_BYTES
from service.providers.catalog import NAMES

Role = Literal["api", "worker", "migrate"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)

Hs256 = Literal["on", "off"]


@dataclass(frozen=True, slots=True)
class Use:
    """Which roles hold a secret. `provider`: only if this one is configured; `hs256`: only then.

    `required`: the roles don't start without it, or only while JWT_HS256 is this. `remedy` is
    what to do if it is missing.
    """

    roles: tuple[Role, ...]
    required: bool | Hs256 = False
    provider: str = ""
    hs256: Hs256 | None = None
    remedy: str = "give it a value"


SERVERS: Final[tuple[Role, ...]] = ("api", "worker")
USES: Final[Mapping[str, Use]] = {
    "database_url": Use(
        SERVERS,
        required=True,
        remedy="give a URL such as postgresql://user:password@host:5432/coinslot, "
        "or run `make dev`, which starts a PostgreSQL of its own",
    ),
    "migration_database_url": Use(("migrate",)),
    "redis_url": Use(("api",)),
    "jwt_secret": Use(
        ("api",),
        required=True,
        hs256="on",
        remedy=f"give {MIN_HS256_KEY_BYTES} random bytes or more, e.g. `openssl rand -hex 32`, "
        "or take only tokens that name one of JWT_KEYS (JWT_HS256=off)",
    ),
    "jwt_keys": Use(
        ("api",),
        required="off",
        remedy="JWT_HS256 is off, so no token could be checked; give a key",
    ),
    **{
        f"{name}_api_key": Use(
            SERVERS,
            required=True,
            provider=name,
            remedy=f"give the key that {name} expects, or take {name} out of PROVIDERS",
        )
        for name in NAMES
    },
    **{f"{name}_webhook_secrets": Use(("api",), provider=name) for name in NAMES},
    "webhook_master_keys": Use(SERVERS),
    "library_token": Use(
        ("worker",), required=True, remedy="give the token that the Library service expects"
    ),
}
"""Every secret setting. Only workers call the Library, and only the API reads the cache."""

OWNER: Final = ("migration_database_url", "database_url")
"""The logins for the role `migrate`; the first that is set counts."""


def secrets_of(
    roles: Collection[Role], providers: Collection[str], hs256: Hs256
) -> dict[str, bool]:
    """Return the secret settings of these roles, each with whether one doesn't start without it.

    `providers` are those configured, `hs256` the setting JWT_HS256. To migrate, one of OWNER is
    needed; the installation chooses which.
    """
    found = dict.fromkeys(OWNER, False) if "migrate" in roles else {}
    for name, use in USES.items():
        held = not use.provider or use.provider in providers
        if held and use.hs256 in (None, hs256) and not set(roles).isdisjoint(use.roles):
            found[name] = use.required in (True, hs256)
    return found
