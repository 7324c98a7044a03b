"""What to do about a setting that is missing or wrong, for whoever has to set it."""

from collections.abc import Iterable
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec

from service.jwt_keys import MIN_HS256_KEY_BYTES


def allowed(kind: Any) -> str:
    """Return what a setting of this type may be, in words that its author understands."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(allowed(part) for part in args if part is not NoneType))
    if origin is Annotated:
        return ", ".join((allowed(args[0]), *_bounds(args[1])))
    if origin is Literal:
        return " or ".join(args)
    if origin in (list, tuple):
        each = allowed(args[0])
        return f"a list, each {each}" if origin is tuple else f"{each}, or a list of such"
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        names = (field.encode_name for field in msgspec.structs.fields(kind))
        return f"a mapping of {', '.join(names)}"
    return "a mapping" if origin is dict else _WORDS.get(kind, str(kind))


def _bounds(meta: msgspec.Meta) -> Iterable[str]:
    if meta.description:
        yield meta.description
        return
    for word, limit in (
        ("at least", meta.ge),
        ("above", meta.gt),
        ("at most", meta.le),
        ("matching", meta.pattern),
    ):
        if limit is not None:
            yield f"{word} {limit}"


_WORDS: Final = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
}
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
