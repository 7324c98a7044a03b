"""What the live platform takes from its surroundings: nothing that its faults could damage."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.live import stack


class SeenError(Exception):
    """Ends the start once it has shown what was asked for."""


@pytest.mark.parametrize("variable", ["DATABASE_URL", "MIGRATION_DATABASE_URL", "REDIS_URL"])
async def test_a_server_of_somebody_else_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    seen: dict[str, str] = {}

    def remembered(_: Path, *, environ: Mapping[str, str], **__: Any) -> NoReturn:
        seen.update(environ)
        raise SeenError

    monkeypatch.setenv(variable, "postgresql://somebody@production/books")
    monkeypatch.setattr(stack, "platform", remembered)
    with pytest.raises(SeenError):
        async with stack.live_platform(tmp_path):
            pytest.fail("it started")
    assert variable not in seen
    assert stack.SMALL.items() <= seen.items()
