"""Reads public keys of tokens, and writes them in PEM; only what has such keys loads a library."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

MIN_RSA_BITS: Final = 2_048  # RFC 7518, 3.3

Signature = Literal["RS256", "ES256"]


def of_jwk(kid: str, alg: Signature, jwk: Mapping[str, Any]) -> str:
    """Return the key of a set in PEM; raise ValueError, which names it by `kid` and has no key."""
    try:
        key = jwt.PyJWK(dict(jwk), alg).key
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        raise ValueError(f"the key {kid} is no {alg} key") from None
    return _checked(kid, alg, key)


def of_pem(kid: str, alg: Signature, pem: str) -> str:
    """Return a key in PEM as the library writes it; raise ValueError as `of_jwk` does."""
    try:
        key = load_pem_public_key(pem.encode())
    except ValueError:
        raise ValueError(f"the key {kid} is no public key in PEM") from None
    return _checked(kid, alg, key)


def _checked(kid: str, alg: Signature, key: Any) -> str:
    rsa = isinstance(key, RSAPublicKey) and key.key_size >= MIN_RSA_BITS
    if alg == "RS256" and not rsa:
        raise ValueError(f"the key {kid} is no RSA key of {MIN_RSA_BITS} bits or more")
    ec = isinstance(key, EllipticCurvePublicKey) and key.curve.name == SECP256R1.name
    if alg == "ES256" and not ec:
        raise ValueError(f"the key {kid} is no key on the curve P-256")
    pem: bytes = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()
