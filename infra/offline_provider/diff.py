"""What differs between the object that is there and the one that is wanted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from infra.offline_provider.objects import Object
from infra.offline_provider.wire import Unknown

Path = tuple[str | int, ...]


class Kind(Enum):
    """What an update does to a property."""

    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"


@dataclass(frozen=True, slots=True)
class Change:
    """One property that an update would touch."""

    path: Path
    kind: Kind

    def __str__(self) -> str:
        return render_path(self.path)


_ABSENT: Final = object()


def changes(there: Object, wanted: Object) -> tuple[Change, ...]:
    """Return the differences between two normal forms, leaves only, in a stable order."""
    return tuple(_walk((), there, wanted))


def _walk(path: Path, old: Any, new: Any) -> Iterator[Change]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _walk((*path, key), old.get(key, _ABSENT), new.get(key, _ABSENT))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            yield from _walk((*path, index), _item(old, index), _item(new, index))
    elif not _same(old, new):
        yield Change(path, _kind(old, new))


def _item(values: Sequence[Any], index: int) -> Any:
    return values[index] if index < len(values) else _ABSENT


def _kind(old: Any, new: Any) -> Kind:
    if old is _ABSENT:
        return Kind.ADD
    return Kind.DELETE if new is _ABSENT else Kind.UPDATE


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, Unknown) or isinstance(new, Unknown):
        return False  # it may turn out the same, but nobody can promise that
    return isinstance(old, bool) == isinstance(new, bool) and bool(old == new)


def prune(live: Any, shape: Any) -> Any:
    """Return of `live` what its author wrote, by the shape of what was written.

    A server fills in defaults and status; they are no difference.
    """
    if isinstance(live, dict) and isinstance(shape, dict):
        return {key: prune(value, shape[key]) for key, value in live.items() if key in shape}
    if isinstance(live, list) and isinstance(shape, list) and len(live) == len(shape):
        return [prune(value, part) for value, part in zip(live, shape, strict=True)]
    return live


def touches(path: Path, others: Sequence[Path]) -> bool:
    """Say whether `path` is one of `others`, above one or below one."""
    return any(path[: len(other)] == other[: len(path)] for other in others)


def render_path(path: Path) -> str:
    """Return a property path as the engine writes it: `spec.ports[0]`, `data["a.b"]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif any(mark in step for mark in '."[]'):
            text += '["' + step.replace('"', '\\"') + '"]'
        else:
            text += f".{step}" if text else step
    return text
