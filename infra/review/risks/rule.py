"""What a rule is, and what it is asked about."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from infra.policy.objects import Object, Stack
from infra.review.pairing import Change

Severity = Literal["high", "medium", "low"]
SEVERITIES: Final[tuple[Severity, ...]] = ("high", "medium", "low")
Finding = tuple[str, str]
"""The object's title and what happens to it."""

QUANTITY: Final = re.compile(r"^([0-9.]+)([a-zA-Z]*)$")
UNITS: Final = {
    "m": Decimal("0.001"),
    "": Decimal(1),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
}


@dataclass(frozen=True, slots=True)
class Risk:
    """One finding: the rule's id, how severe, which object, what happens."""

    rule: str
    severity: Severity
    object: str
    text: str


@dataclass(frozen=True, slots=True)
class Scene:
    """All that a rule may look at."""

    changes: Sequence[Change]
    before: Stack
    after: Stack

    def of(self, *kinds: str) -> Iterator[Change]:
        """Yield the changes of objects of these kinds."""
        return (change for change in self.changes if change.kind in kinds)

    def kept(self, *kinds: str) -> Iterator[Change]:
        """Yield those whose object is there before and after."""
        return (change for change in self.of(*kinds) if change.kept)


@dataclass(frozen=True, slots=True)
class Rule:
    """A question asked of every change. `check` yields object titles and sentences."""

    id: str
    severity: Severity
    check: Callable[[Scene], Iterator[Finding]]

    def find(self, scene: Scene) -> Iterator[Risk]:
        """Yield what the rule finds, once each."""
        for subject, text in dict.fromkeys(self.check(scene)):
            yield Risk(self.id, self.severity, subject, text)


def template_spec(obj: Object) -> Object:
    """Return the pod's spec of a Deployment or a Job, or nothing."""
    found: Object = ((obj.get("spec") or {}).get("template") or {}).get("spec") or {}
    return found


def amount(quantity: Any) -> Decimal:
    """Return a Kubernetes quantity as a number; raise ValueError for what is none."""
    match = QUANTITY.match(str(quantity))
    if not match or match[2] not in UNITS:
        raise ValueError(f"{quantity!r} is no Kubernetes quantity")
    return Decimal(match[1]) * UNITS[match[2]]


def share(value: Any, total: int) -> int:
    """Return a count that may be written as a percentage of `total`."""
    text = str(value)
    return int(text.removesuffix("%")) * total // 100 if text.endswith("%") else int(text)
