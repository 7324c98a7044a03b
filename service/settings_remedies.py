"""What to do about a setting that is missing or wrong, for whoever has to set it."""

from typing import Annotated, Any, Final, Literal, get_args, get_origin

from service.jwt_keys import MIN_HS256_KEY_BYTES


def allowed(kind: Any) -> str:
    """Return what a setting of this type may be, in words."""
    if get_origin(kind) is Annotated:
        base, meta = get_args(kind)
        bounds = [
            f"{word} {limit}"
            for word, limit in (
                ("at least", meta.ge),
                ("above", meta.gt),
                ("at most", meta.le),
                ("matching", meta.pattern),
            )
            if limit is not None
        ]
        return " ".join((base.__name__, ", ".join(bounds)))
    if get_origin(kind) is Literal:
        return " | ".join(get_args(kind))
    return str(getattr(kind, "__name__", kind))


API_KEY: Final = "_api_key"
_REMEDIES: Final = {
    "database_url": "give a URL such as postgresql://user:password@host:5432/coinslot, "
    "or run `make dev`, which starts a PostgreSQL of its own",
    "jwt_secret": f"give {MIN_HS256_KEY_BYTES} random bytes or more, e.g. `openssl rand -hex 32`, "
    "or take only tokens that name one of JWT_KEYS (JWT_HS256=off)",
    "jwt_keys": "JWT_HS256 is off, so no token could be checked; give a key",
    "library_token": "give the token that the Library service expects",
}


def remedy(name: str) -> str:
    """Return what to do about a setting that is not set."""
    if name.endswith(API_KEY):
        provider = name.removesuffix(API_KEY)
        return f"give the key that {provider} expects, or take {provider} out of PROVIDERS"
    return _REMEDIES.get(name, "give it a value")
