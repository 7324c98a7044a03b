"""Helpers to read a provider's answers."""

from collections.abc import AsyncIterator

import pytest

from service.providers.calls import at_most
from service.providers.port import OutcomeUnknownError


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


async def test_a_list_that_is_too_long_is_an_unknown_outcome() -> None:
    assert await at_most(3, numbers(3)) == [0, 1, 2]
    with pytest.raises(OutcomeUnknownError, match="more than 3"):
        await at_most(3, numbers(4))
