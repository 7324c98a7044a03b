"""What differs between two objects, field by field; lists are compared by what their items are.

A path is written as people write it: `spec.template.spec.containers[api].image`. An item of a list
stands under its key, so that one more container is one addition and not a shift of all others.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from infra.policy.objects import dig

ABSENT: Final = None
"""A field that isn't there. Manifests hold no null, so it can't be mistaken for a value."""

KEYS: Final[tuple[tuple[str, ...], ...]] = (
    ("alert", "record"),
    ("alert", "record", "labels.severity"),
    ("name",),
    ("mountPath",),
    ("port", "protocol"),
    ("containerPort",),
    ("type", "resource.name", "pods.metric.name"),
    ("topologyKey",),
    ("key",),
    ("configMapRef.name", "secretRef.name"),
    ("title",),
    ("refId",),
)
"""What identifies the items of a list; the first that fits all of them is used."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One value that is another one now; ABSENT on a side where there is none."""

    path: str
    before: Any
    after: Any


def differences(before: Any, after: Any, path: str = "") -> Iterator[FieldChange]:
    """Yield the differences, the innermost that can be told apart, in a stable order."""
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted(before.keys() | after.keys()):
            yield from differences(before.get(key), after.get(key), _below(path, key))
    elif _items(before) and _items(after):
        old, new = _named(before, after)
        for key in [*old, *(key for key in new if key not in old)]:
            yield from differences(old.get(key), new.get(key), f"{path}[{key}]")
    elif (documents := _documents(path, before, after)) is not None:
        yield from differences(*documents, path)
    else:
        yield FieldChange(path, before, after)


def items(before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield (key, item before, item after) of two lists of mappings, paired by key."""
    old, new = _named(before or [], after or [])
    for key in [*old, *(key for key in new if key not in old)]:
        yield key, old.get(key), new.get(key)


def canonical(value: Any) -> str:
    """Return a value's JSON with its keys in order: equal values have equal texts."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _below(path: str, key: str) -> str:
    """Return the path of a key; one with a dot of its own stands in brackets."""
    if "." in key or "/" in key:
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def _items(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and _mappings(value)


def _mappings(value: Sequence[Any]) -> bool:
    return bool(value) and all(isinstance(item, Mapping) for item in value)


def _named(old: Sequence[Any], new: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return both lists' items by the first key that tells them apart, else by their content."""
    for paths in KEYS:
        keyed = [_by(paths, items) for items in (old, new)]
        if keyed[0] is not None and keyed[1] is not None:
            return keyed[0], keyed[1]
    return {canonical(item): item for item in old}, {canonical(item): item for item in new}


def _by(paths: tuple[str, ...], items: Sequence[Any]) -> dict[str, Any] | None:
    """Return the items by their key, or None where one has none or two have the same."""
    keyed: dict[str, Any] = {}
    for item in items:
        parts = [dig(item, path) for path in paths]
        if parts[0] is None and len(paths) == 1:
            return None
        key = " ".join(str(part) for part in parts if part is not None)
        if not key or key in keyed:
            return None
        keyed[key] = item
    return keyed


def _documents(path: str, before: Any, after: Any) -> tuple[Any, Any] | None:
    """Return the contents of two JSON documents in a ConfigMap, such as dashboards."""
    if not (path.endswith(".json]") and isinstance(before, str) and isinstance(after, str)):
        return None
    try:
        return json.loads(before), json.loads(after)
    except ValueError:
        return None
