"""The types of settings: secrets, and numbers and texts with their bounds."""

from typing import Annotated

from msgspec import Meta


class Secret:
    """A value that never shows itself: not in a log, a traceback or an f-string."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value; call it only where the value leaves for its one purpose."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __format__(self, _format_spec: str) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self._value)


Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Count = Annotated[int, Meta(ge=1, le=100_000)]
Quota = Annotated[int, Meta(ge=0, le=10_000_000)]
Url = Annotated[str, Meta(pattern=r"^https?://[^\s/]+")]


def listed(text: str) -> tuple[str, ...]:
    """Return the items of a list that is written with commas."""
    return tuple(item.strip() for item in text.split(",") if item.strip())
