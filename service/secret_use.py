"""Which role of the service is given which secret, and without which one it does not start.

The settings read no other secret than these, and each role's pods are given these alone: who breaks
into a worker finds nothing that signs in buyers, and into the API nothing that gives games away.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

from service.providers.catalog import NAMES

Role = Literal["api", "worker", "migrate"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)

Hs256 = Literal["on", "off"]


@dataclass(frozen=True, slots=True)
class Use:
    """Who needs a secret. `provider`: only where this one is in use; `hs256`: only while it is so.

    `required` says whether the roles start without; `required_if` makes it so for one state of
    HS256 alone.
    """

    roles: tuple[Role, ...]
    required: bool = False
    provider: str = ""
    hs256: Hs256 | None = None
    required_if: Hs256 | None = None


SERVERS: Final[tuple[Role, ...]] = ("api", "worker")
USES: Final[Mapping[str, Use]] = {
    "database_url": Use(SERVERS, required=True),
    "migration_database_url": Use(("migrate",)),
    "redis_url": Use(("api",)),
    "jwt_secret": Use(("api",), required=True, hs256="on"),
    "jwt_keys": Use(("api",), required_if="off"),
    **{f"{name}_api_key": Use(SERVERS, required=True, provider=name) for name in NAMES},
    **{f"{name}_webhook_secrets": Use(("api",), provider=name) for name in NAMES},
    "webhook_master_keys": Use(SERVERS),
    "library_token": Use(("worker",), required=True),
}
"""Every secret setting. The library is called by workers alone, and the cache by the API."""

OWNER: Final = ("migration_database_url", "database_url")
"""What the role `migrate` may enter the database with, the first that is set."""


def held(role: Role, providers: Collection[str], hs256: Hs256) -> dict[str, bool]:
    """Return the secret settings of a role, each with whether it does not start without.

    `providers` are those in use, `hs256` the setting JWT_HS256. One of OWNER is needed to migrate;
    which one is for the installation to choose.
    """
    if role == "migrate":
        return dict.fromkeys(OWNER, False)
    return {
        name: use.required or use.required_if == hs256
        for name, use in USES.items()
        if role in use.roles
        and (not use.provider or use.provider in providers)
        and use.hs256 in (None, hs256)
    }


def held_by_any(providers: Collection[str], hs256: Hs256) -> dict[str, bool]:
    """Return the secret settings of all roles together, as `held` does for one."""
    each = [held(role, providers, hs256) for role in ROLES]
    return {
        name: any(found.get(name, False) for found in each)
        for name in USES
        if any(name in found for found in each)
    }
