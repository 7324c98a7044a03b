"""Which object of one side is which of the other, and what happens to it in between.

Objects are the same by group, kind, namespace and name. A name may end in a hash of the content
(the migration Job's does): such an object pairs with the one that has the same name without it.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from infra.policy.objects import Object, Stack, title
from infra.review.fields import FieldChange, differences
from infra.review.immutable import immutable_paths

Action = Literal["created", "changed", "replaced", "deleted"]
Identity = tuple[str, str, str, str]

CONTENT_HASH: Final = re.compile(r"-[0-9a-f]{8,64}$")
HASH_IN_TEXT: Final = re.compile(r"-[0-9a-f]{8,64}\b")
MUTABLE_CONTENT: Final = frozenset({"ConfigMap", "Secret"})
"""Kinds whose data changes in place: infra/components/platform.py tells the provider so."""
NO_FIELDS: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True)
class Change:
    """One object that is not as it was; `fields` are empty when it was created or deleted."""

    action: Action
    before: Object | None
    after: Object | None
    fields: Sequence[FieldChange] = ()
    cause: str = ""
    """The field that can't be changed in place, of an object that is replaced."""

    @property
    def object(self) -> Object:
        """Return the object as it will be, or as it was when it goes."""
        found = self.after or self.before
        if found is None:
            raise ValueError("a change is of an object on one side at least")
        return found

    @property
    def old(self) -> Object:
        """Return the object before, without fields where there was none."""
        return self.before or NO_FIELDS

    @property
    def new(self) -> Object:
        """Return the object after, without fields where there is none."""
        return self.after or NO_FIELDS

    @property
    def kind(self) -> str:
        return str(self.object["kind"])

    @property
    def name(self) -> str:
        return str(self.object["metadata"]["name"])

    @property
    def title(self) -> str:
        return title(self.object)

    @property
    def kept(self) -> bool:
        """Say whether it is there before and after."""
        return self.before is not None and self.after is not None


def unhashed(text: str) -> str:
    """Return a sentence about an object as it reads whatever the hash in its name."""
    return HASH_IN_TEXT.sub("", text)


def identity(obj: Object) -> Identity:
    """Return group, kind, namespace and name; another version of an API is no other object."""
    group = str(obj["apiVersion"]).rpartition("/")[0]
    metadata = obj["metadata"]
    return group, str(obj["kind"]), metadata.get("namespace", ""), metadata["name"]


def pairs(before: Stack, after: Stack) -> list[Change]:
    """Return what happens to each object that is not the same before and after, in order."""
    old = {identity(obj): obj for obj in before.objects}
    new = {identity(obj): obj for obj in after.objects}
    renamed = _renamed(
        [key for key in old if key not in new], [key for key in new if key not in old]
    )
    found = [_change(old[key], new[key]) for key in old.keys() & new.keys()]
    found += [_renamed_change(old[one], new[other]) for one, other in renamed.items()]
    found += [Change("deleted", old[key], None) for key in old.keys() - new.keys() - renamed.keys()]
    created = new.keys() - old.keys() - set(renamed.values())
    found += [Change("created", None, new[key]) for key in created]
    return sorted(filter(None, found), key=lambda change: identity(change.object))


def _renamed(gone: Sequence[Identity], come: Sequence[Identity]) -> dict[Identity, Identity]:
    """Pair objects whose names differ in nothing but a hash of their content."""
    candidates: dict[Identity, tuple[list[Identity], list[Identity]]] = defaultdict(
        lambda: ([], [])
    )
    for side, keys in enumerate((gone, come)):
        for group, kind, namespace, name in sorted(keys):
            stem, hashed = CONTENT_HASH.subn("", name)
            if hashed:
                candidates[group, kind, namespace, stem][side].append(
                    (group, kind, namespace, name)
                )
    return {
        one: other for old, new in candidates.values() for one, other in zip(old, new, strict=False)
    }


def _renamed_change(before: Object, after: Object) -> Change:
    return Change(
        "replaced", before, after, tuple(differences(before, after)), "its name holds its content"
    )


def _change(before: Object, after: Object) -> Change | None:
    fields = tuple(differences(before, after))
    if not fields:
        return None
    cause = _immutable(before, after)
    return Change("replaced" if cause else "changed", before, after, fields, cause)


def _immutable(before: Object, after: Object) -> str:
    """Return the field that can't be changed in place, or nothing."""
    for path in immutable_paths(dict(after), mutable_content=MUTABLE_CONTENT):
        if _at(before, path) != _at(after, path):
            return ".".join(path)
    return ""


def _at(obj: Any, steps: Sequence[str]) -> Any:
    for step in steps:
        obj = obj.get(step) if isinstance(obj, Mapping) else None
    return obj
