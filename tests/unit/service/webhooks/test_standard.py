"""The signature of what we send: the specification's own examples, and its verifier."""

import time
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from service.merchant_webhooks import signing

KEYS = signing.read_master_keys(f"new:{'n' * 32},old:{'o' * 32}")
ENDPOINT = UUID("0198f3c2-7b4e-7d0a-9c51-f2e88a6d4b13")


@pytest.mark.parametrize("secret", ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
@pytest.mark.parametrize("prefix", ["", "whsec_"])
def test_the_vector_of_the_reference_libraries(secret: str, prefix: str) -> None:
    made = signing.sign(
        prefix + secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(st.text(), st.integers(1, 9))
def test_the_reference_verifier_takes_it(text: str, version: int) -> None:
    secret = signing.derive(KEYS, "new", ENDPOINT, version)
    body = text.encode(errors="replace")
    headers = signing.headers([secret], "msg_1", int(time.time()), body)
    Webhook(secret).verify(body, headers, json_parse=False)


@pytest.mark.parametrize("broken", ["id", "timestamp", "signature", "body", "secret", "age"])
def test_the_reference_verifier_refuses_what_was_changed(broken: str) -> None:
    secret = signing.derive(KEYS, "new", ENDPOINT, 1)
    at_s = int(time.time()) - (600 if broken == "age" else 0)
    headers = signing.headers([secret], "msg_1", at_s, b"{}")
    body = b"{ }" if broken == "body" else b"{}"
    if broken == "id":
        headers[signing.ID] = "msg_2"
    if broken == "timestamp":
        headers[signing.TIMESTAMP] = str(at_s + 1)
    if broken == "signature":
        headers[signing.SIGNATURE] = "v1," + "A" * 43 + "="
    if broken == "secret":
        secret = signing.derive(KEYS, "new", ENDPOINT, 2)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, headers)


def test_two_secrets_make_two_signatures_in_their_order() -> None:
    live = [signing.derive(KEYS, name, ENDPOINT, 1) for name in ("new", "old")]
    made = signing.headers(live, "msg_1", 7, b"{}")
    assert made[signing.SIGNATURE].split(" ") == [
        signing.sign(secret, "msg_1", 7, b"{}") for secret in live
    ]


def test_a_secret_belongs_to_its_endpoint_its_version_and_its_key() -> None:
    made = {
        signing.derive(KEYS, name, UUID(int=number), version)
        for name in KEYS
        for number in range(3)
        for version in range(1, 4)
    }
    assert len(made) == 18
    assert all(secret.startswith("whsec_") and len(secret) == 50 for secret in made)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("k" * 40, "key 1 is not name:key"),
        (f"a:{'k' * 32},B:{'k' * 32}", "key 2 is not name:key"),
        ("a:short", "key a has fewer than 32 characters"),
        (f"a:{'k' * 32},a:{'j' * 32}", "two keys are called a"),
        ("no,a:short", "key 1 is not name:key; .*; key a has fewer than 32 characters"),
    ],
)
def test_master_keys_that_cannot_be_used_are_named_and_not_shown(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        signing.read_master_keys(text)
    assert "kkk" not in str(caught.value)


def test_the_first_master_key_makes_new_secrets() -> None:
    assert list(KEYS) == ["new", "old"]
    assert signing.read_master_keys(" ") == {}
