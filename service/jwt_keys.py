"""The keys that bearer tokens are checked with; several live at a time, so that they can rotate.

JWT_KEYS is a list of `{"kid": …, "alg": …, "key": …}`: `alg` is HS256, RS256 or ES256, `key` the
shared secret or the public key in PEM. Or it is a JWK Set (RFC 7517, 5) of public keys, each with
its `kid` and `alg`. An algorithm belongs to its key, never to the token (RFC 8725, 3.1).
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from service.setting_types import read_each, repeated

MIN_HS256_KEY_BYTES: Final = 32  # RFC 7518, 3.2: the key is at least as long as the hash
MAX_KEYS: Final = 16
"""Live at a time: a new one, the one before, and room for several issuers."""

Algorithm = Literal["HS256", "RS256", "ES256"]
Kid = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}(?!\n)$")]

KeyT = TypeVar("KeyT")


class _Given(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kid: Kid
    alg: Algorithm
    key: str


class _Jwk(msgspec.Struct, frozen=True):
    """The members that a key of a set must have; the library reads the rest."""

    kid: Kid
    alg: Literal["RS256", "ES256"]
    kty: Literal["RSA", "EC"]


class _JwkSet(msgspec.Struct, frozen=True):
    keys: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One key: the secret of HS256, or a public key in PEM. A token names it by its `kid`."""

    kid: str
    alg: Algorithm
    key: str = field(repr=False)


def read_keys(text: str) -> tuple[VerificationKey, ...]:
    """Return the keys in `text`, which may be empty; raise ValueError naming all that is wrong.

    The message never holds a key.
    """
    if not text:
        return ()
    if text.lstrip().startswith("{"):
        given, read = _decoded(text, _JwkSet).keys, _from_jwk
    else:
        given, read = _decoded(text, tuple[Any, ...]), _from_given
    keys, wrong = read_each(enumerate(given, 1), read)
    if len(given) > MAX_KEYS:
        wrong.append(f"there are {len(given)} keys; keep at most {MAX_KEYS}")
    if kids := repeated(key.kid for key in keys):
        wrong.append(f"several keys have the kid {', '.join(kids)}; rename them")
    if wrong:
        raise ValueError("; ".join(wrong))
    return tuple(keys)


def _from_given(numbered: tuple[int, Any]) -> VerificationKey:
    given = _shaped(numbered, _Given)
    if given.alg == "HS256":
        return VerificationKey(given.kid, given.alg, _secret(given))
    # Here alone: the library takes longer to load than all else that reads the settings.
    from service.public_keys import of_pem  # noqa: PLC0415

    return VerificationKey(given.kid, given.alg, of_pem(given.kid, given.alg, given.key))


def _from_jwk(numbered: tuple[int, Any]) -> VerificationKey:
    named, jwk = _shaped(numbered, _Jwk), numbered[1]
    if "d" in jwk:
        raise ValueError(f"the key {named.kid} is a private one; give its public part")
    from service.public_keys import of_jwk  # noqa: PLC0415  as in _from_given

    return VerificationKey(named.kid, named.alg, of_jwk(named.kid, named.alg, jwk))


def _shaped(numbered: tuple[int, Any], kind: type[KeyT]) -> KeyT:
    number, given = numbered
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise ValueError(f"the key number {number}: {error}") from None


def _decoded(text: str, kind: Any) -> Any:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ValueError("it is not JSON") from None


def _secret(given: _Given) -> str:
    if len(given.key.encode()) < MIN_HS256_KEY_BYTES:
        raise ValueError(f"the key {given.kid} has fewer than {MIN_HS256_KEY_BYTES} bytes")
    if "-----BEGIN" in given.key:
        # Everybody knows a public key: as a secret it would let everybody sign.
        raise ValueError(f"the key {given.kid} is in PEM; its alg is RS256 or ES256, not HS256")
    return given.key
