"""Properties of the parser: any bytes give a value or an error of ours, and nothing else."""

import json
import re
from typing import Any
from uuid import UUID

import msgspec
import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import example, given
from hypothesis import strategies as st

from service.errors import (
    IdempotencyKeyInvalidError,
    NotFoundError,
    ServiceError,
    ValidationFailedError,
)
from service.web import parse
from tests.unit.service.web.sample_api import Line, Order

DECODER = msgspec.json.Decoder(Order)
TEXTS = st.text(st.characters(exclude_characters="\0", codec="utf-8"))
LINES = st.builds(
    Line,
    game_id=st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(
        lambda text: "\0" not in text
    ),
    quantity=st.integers(1, 10),
)
ORDERS = st.builds(Order, currency=TEXTS, items=st.lists(LINES, min_size=1, max_size=3))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
@example(b'{"currency":"\\u0000","items":[{"game_id":"a","quantity":1}]}')
@example(b"[" * 65_000)
@example(b'{"currency":' + b"9" * 5_000)
def test_any_bytes_are_a_value_or_an_error_of_ours(raw: bytes) -> None:
    found = decoded(raw)
    if isinstance(found, ServiceError):
        assert found.status in (400, 422)
        assert all(len(item.detail) <= parse.MAX_DETAIL for item in found.fields)
    else:
        assert isinstance(found, Order)


def decoded(raw: bytes) -> Any:
    try:
        return parse.decode(DECODER, raw)
    except ServiceError as error:
        return error


@given(ORDERS)
def test_what_is_valid_comes_back_as_it_is(order: Order) -> None:
    assert parse.decode(DECODER, msgspec.json.encode(order)) == order
    assert parse.decode(DECODER, json.dumps(msgspec.to_builtins(order)).encode()) == order


@given(ORDERS, st.integers(0), st.text())
def test_nul_is_found_wherever_it_hides(order: Order, place: int, around: str) -> None:
    index = place % len(order.items)
    order.items[index].game_id = around[:30] + "\0" + around[30:60]
    with pytest.raises(ValidationFailedError) as caught:
        parse.decode(DECODER, msgspec.json.encode(order))
    assert caught.value.fields[0].field == f"$.items[{index}].game_id"


@given(st.text(st.characters(max_codepoint=0xFF, exclude_characters="\r\n\0")))
@example("k" * 255)
@example("k" * 256)
@example("key\n")
def test_a_key_is_visible_ascii_or_refused(key: str) -> None:
    request = make_mocked_request("POST", "/", headers={parse.IDEMPOTENCY_KEY: key})
    fit = re.fullmatch(r"[!-~]{1,255}", key) is not None
    try:
        assert parse.idempotency_key(request, required=True) == key
    except IdempotencyKeyInvalidError:
        assert not fit
    else:
        assert fit


@given(st.uuids())
def test_an_id_is_read_in_either_case(identifier: UUID) -> None:
    for text in (str(identifier), str(identifier).upper()):
        assert parse.path_parameters({"thing_id": text}) == ({"thing_id": identifier}, {})


@given(st.text())
@example("{0198f3c2-7b4e-7d0a-9c51-f2e88a6d4b13}")
@example("urn:uuid:0198f3c2-7b4e-7d0a-9c51-f2e88a6d4b13")
@example("0198f3c27b4e7d0a9c51f2e88a6d4b13")
@example("0198f3c2-7b4e-7d0a-9c51-f2e88a6d4b13\n")
def test_any_other_text_is_no_id_and_404(text: str) -> None:
    with pytest.raises(NotFoundError):
        parse.path_parameters({"thing_id": text})


@given(st.text())
def test_a_word_is_plain_or_404(text: str) -> None:
    found: Any = None
    try:
        _, found = parse.path_parameters({"provider": text})
    except NotFoundError:
        assert not re.fullmatch("[a-z0-9_-]{1,32}", text)
    else:
        assert found == {"provider": text}
        assert re.fullmatch("[a-z0-9_-]{1,32}", text)
