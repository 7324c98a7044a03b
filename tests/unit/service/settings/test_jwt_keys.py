"""JWT_KEYS: what is read, and what is refused without showing it."""

import json
from contextlib import suppress
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from service.jwt_keys import MAX_KEYS, read_keys
from service.settings import SettingsError, load
from tests.support.keys import private, public
from tests.unit.service.settings.test_settings import NEEDED

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
WEAK_RSA = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505  the point
EC = ec.generate_private_key(ec.SECP256R1())
OTHER_CURVE = ec.generate_private_key(ec.SECP384R1())
SECRET = "s3cret-" * 5


def one(alg: str, key: str, kid: str = "k1", **more: str) -> str:
    return json.dumps([{"kid": kid, "alg": alg, "key": key, **more}])


def jwk(key: Any, kind: str, kid: str = "k1", **changes: Any) -> dict[str, Any]:
    algorithm = jwt.get_algorithm_by_name(kind)
    return {**algorithm.to_jwk(key, as_dict=True), "kid": kid, "alg": kind, **changes}


def test_a_list_holds_keys_of_each_kind() -> None:
    text = json.dumps(
        [
            {"kid": "a", "alg": "HS256", "key": SECRET},
            {"kid": "b", "alg": "RS256", "key": public(RSA)},
            {"kid": "c", "alg": "ES256", "key": public(EC)},
        ]
    )
    assert [(key.kid, key.alg, key.key) for key in read_keys(text)] == [
        ("a", "HS256", SECRET),
        ("b", "RS256", public(RSA)),
        ("c", "ES256", public(EC)),
    ]


def test_a_set_of_public_keys_is_read_as_its_issuer_serves_it() -> None:
    text = json.dumps(
        {"keys": [jwk(RSA.public_key(), "RS256", use="sig"), jwk(EC.public_key(), "ES256", "k2")]}
    )
    found = {key.kid: key.key for key in read_keys(text)}
    assert found == {"k1": public(RSA), "k2": public(EC)}


def test_no_text_holds_no_keys() -> None:
    assert read_keys("") == ()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "not JSON"),
        ("[]x", "not JSON"),
        ("[1]", "Expected `object`"),
        (one("none", SECRET), "Invalid enum value 'none'"),
        (one("HS512", SECRET * 2), "Invalid enum value 'HS512'"),
        (one("HS256", "short"), "k1 has fewer than 32 bytes"),
        (one("HS256", public(RSA)), "k1 is in PEM; its alg is RS256 or ES256"),
        (one("RS256", SECRET), "k1 is no public key in PEM"),
        (one("RS256", private(RSA)), "k1 is no public key in PEM"),
        (one("RS256", public(EC)), "k1 is no RSA key"),
        (one("RS256", public(WEAK_RSA)), "k1 is no RSA key of 2048 bits"),
        (one("ES256", public(RSA)), "k1 is no key on the curve P-256"),
        (one("ES256", public(OTHER_CURVE)), "k1 is no key on the curve P-256"),
        (one("HS256", SECRET, kid="../etc/passwd"), "kid"),
        (one("HS256", SECRET, kid="k1\n"), "kid"),
        (one("HS256", SECRET, kid=""), "kid"),
        (one("HS256", SECRET, use="sig"), "unknown field `use`"),
        (json.dumps(json.loads(one("HS256", SECRET)) * 2), "several keys have the kid k1"),
        (
            json.dumps([{"kid": f"k{n}", "alg": "HS256", "key": SECRET} for n in range(17)]),
            f"17 keys; keep at most {MAX_KEYS}",
        ),
        (json.dumps({"keys": [jwk(RSA, "RS256")]}), "k1 is a private one"),
        (json.dumps({"keys": [jwk(EC.public_key(), "ES256", alg="RS256")]}), "k1 is no RS256 key"),
        (
            json.dumps({"keys": [{"kty": "oct", "k": "AAAA", "kid": "k", "alg": "HS256"}]}),
            "number 1",
        ),
        (json.dumps({"keys": [{"kty": "RSA", "kid": "k1", "alg": "RS256"}]}), "k1 is no RS256"),
    ],
)
def test_what_is_no_key_is_named_and_not_shown(text: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match="JWT_KEYS is ") as caught:
        load({**NEEDED, "JWT_KEYS": text})
    assert sentence in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "BEGIN" not in str(caught.value)


def test_all_wrong_keys_are_named_at_once() -> None:
    keys = [
        *(2 * [{"kid": "k1", "alg": "HS256", "key": SECRET}]),
        {"kid": "k2", "alg": "HS256", "key": "short"},
        {"kid": "k3", "alg": "RS256", "key": SECRET},
        1,
    ]
    with pytest.raises(ValueError, match="k2 has fewer") as caught:
        read_keys(json.dumps(keys))
    message = str(caught.value)
    assert "k3 is no public key in PEM; the key number 5: Expected `object`" in message
    assert "several keys have the kid k1" in message
    assert SECRET not in message


@given(
    text=st.text(max_size=200)
    | st.recursive(
        st.none() | st.text(max_size=9),
        lambda inner: st.lists(inner)
        | st.dictionaries(st.sampled_from(["keys", "kid", "alg", "key", "kty"]), inner),
    ).map(json.dumps)
)
def test_whatever_it_is_it_is_read_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert all(key.key for key in read_keys(text))


def test_a_key_does_not_show_itself() -> None:
    assert SECRET not in repr(read_keys(one("HS256", SECRET)))
