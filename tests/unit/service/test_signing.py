"""What is kept outside and comes back: ours, under its name, within its time, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.store.signing import ForgedError, Signer

OURS = Signer("postgresql://coinslot:a-password@db/coinslot")


@given(st.text(max_size=80), st.binary(max_size=300))
def test_what_was_signed_is_read_again(name: str, value: bytes) -> None:
    signed = OURS.sign(name, value, until_s=100.0)
    assert OURS.read(name, signed, now_s=99.999) == value
    assert OURS.read(name, signed, now_s=100.0) is None


@given(st.binary(max_size=60), st.integers(min_value=0), st.integers(1, 255))
def test_a_changed_byte_shows(value: bytes, at: int, change: int) -> None:
    signed = bytearray(OURS.sign("game:a", value, until_s=100.0))
    signed[at % len(signed)] ^= change
    with pytest.raises(ForgedError):
        OURS.read("game:a", bytes(signed), now_s=0.0)


@given(st.binary(max_size=60))
def test_what_nobody_signed_is_refused(found: bytes) -> None:
    with pytest.raises(ForgedError):
        OURS.read("game:a", found, now_s=0.0)


def test_a_value_is_bound_to_its_name_and_to_the_secret() -> None:
    signed = OURS.sign("game:a", b"1999", until_s=100.0)
    with pytest.raises(ForgedError):
        OURS.read("game:b", signed, now_s=0.0)
    with pytest.raises(ForgedError):
        Signer("postgresql://coinslot:another@db/coinslot").read("game:a", signed, now_s=0.0)
