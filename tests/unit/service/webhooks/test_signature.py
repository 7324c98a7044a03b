"""Whose delivery is it, and is it of now."""

import string

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from service.providers.signature import (
    MAX_HEADER,
    MAX_SIGNATURES,
    TOLERANCE_S,
    SignatureError,
    sign,
    verify,
)

NOW = 1_700_000_000
SECRETS = st.text(string.ascii_letters + string.digits, min_size=16, max_size=64)


def header(secret: str, body: bytes, at_s: int = NOW) -> str:
    return f"t={at_s},v1={sign(secret, at_s, body)}"


def test_the_scheme_is_stripes() -> None:
    """A value computed by `openssl dgst -sha256 -hmac` over `<t>.<body>`."""
    made = sign("whsec_test_secret_0123", 1_492_774_577, b'{"id": "evt_1"}')
    assert made == "7f84922944a6137f31a74e07cb034c766fc792fb617bd74e0ad478c26c72604b"


@given(secret=SECRETS, body=st.binary(max_size=500))
def test_what_a_live_secret_signed_is_taken(secret: str, body: bytes) -> None:
    verify([header(secret, body)], body, [secret], NOW)
    verify([header(secret, body)], body, ["another secret altogether", secret], NOW)


@given(secret=SECRETS, body=st.binary(max_size=200), other=st.binary(max_size=200))
def test_a_signature_is_of_one_body(secret: str, body: bytes, other: bytes) -> None:
    assume(body != other)
    with pytest.raises(SignatureError, match="no live secret"):
        verify([header(secret, body)], other, [secret], NOW)


@given(body=st.binary(min_size=1, max_size=200), data=st.data())
def test_one_flipped_bit_is_seen(body: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(body) * 8 - 1))
    flipped = bytearray(body)
    flipped[at // 8] ^= 1 << at % 8
    with pytest.raises(SignatureError):
        verify(
            [header("the only live secret", body)], bytes(flipped), ["the only live secret"], NOW
        )


@given(secret=SECRETS, other=SECRETS)
def test_a_signature_is_of_one_secret(secret: str, other: str) -> None:
    assume(secret != other)
    with pytest.raises(SignatureError, match="no live secret"):
        verify([header(secret, b"{}")], b"{}", [other], NOW)


@given(off=st.integers(-100_000, 100_000))
@example(off=TOLERANCE_S)
@example(off=TOLERANCE_S + 1)
@example(off=-TOLERANCE_S - 1)
def test_a_delivery_is_taken_within_five_minutes_either_way(off: int) -> None:
    given_header = header("the only live secret", b"{}", NOW + off)
    if abs(off) <= 300:
        verify([given_header], b"{}", ["the only live secret"], NOW)
        return
    with pytest.raises(SignatureError, match="are taken"):
        verify([given_header], b"{}", ["the only live secret"], NOW)


def test_the_time_is_signed_too() -> None:
    made = sign("the only live secret", NOW - 1_000, b"{}")
    with pytest.raises(SignatureError, match="no live secret"):
        verify([f"t={NOW},v1={made}"], b"{}", ["the only live secret"], NOW)


def test_one_of_several_signatures_is_enough() -> None:
    ours = sign("the only live secret", NOW, b"{}")
    given_header = f"t={NOW},v1={'0' * 64},v1={ours},v0=abc"
    verify([given_header], b"{}", ["the only live secret"], NOW)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "t=",
        f"t={NOW}",
        "v1=" + "0" * 64,
        f"t={NOW},t={NOW},v1={'0' * 64}",
        f"t=-{NOW},v1={'0' * 64}",
        f"t=1e9,v1={'0' * 64}",
        f"t=١٢٣,v1={'0' * 64}",
        f"t={'9' * 13},v1={'0' * 64}",
        f"t={NOW},v1={'0' * 63}",
        f"t={NOW},v1={'0' * 64}\n",
        f"t={NOW},v1={'G' * 64}",
        f"t={NOW}" + f",v1={'0' * 64}" * (MAX_SIGNATURES + 1),
        f"t={NOW}," + "x" * MAX_HEADER,
    ],
)
def test_a_header_that_cannot_be_read_is_refused(bad: str) -> None:
    with pytest.raises(SignatureError):
        verify([bad], b"{}", ["the only live secret"], NOW)


def test_there_is_one_header_or_none_counts() -> None:
    good = header("the only live secret", b"{}")
    for headers in ([], [good, good]):
        with pytest.raises(SignatureError, match="headers, not one"):
            verify(headers, b"{}", ["the only live secret"], NOW)


def test_without_a_live_secret_nothing_is_taken() -> None:
    with pytest.raises(SignatureError):
        verify([header("", b"{}")], b"{}", [], NOW)


@given(junk=st.text(max_size=300), body=st.binary(max_size=50))
@example(junk=f"t={NOW},v1=", body=b"")
def test_no_header_whatever_raises_anything_else(junk: str, body: bytes) -> None:
    with pytest.raises(SignatureError):
        verify([junk], body, ["the only live secret"], NOW)
