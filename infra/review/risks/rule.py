"""What a rule is, and what it is asked about."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from infra.policy.objects import Object, Stack, dig
from infra.review.fields import items
from infra.review.pairing import Change

Severity = Literal["high", "medium", "low"]
SEVERITIES: Final[tuple[Severity, ...]] = ("high", "medium", "low")
OWNERS: Final = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")
"""Kinds that have pods."""
Finding = tuple[str, str]
"""The object's title and what happens to it."""


@dataclass(frozen=True, slots=True)
class Risk:
    """One finding: the rule's id, how severe, which object, what happens."""

    rule: str
    severity: Severity
    object: str
    text: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that a rule may look at."""

    changes: Sequence[Change]
    before: Stack
    after: Stack

    def of(self, *kinds: str) -> Iterator[Change]:
        return (change for change in self.changes if change.kind in kinds)

    def kept(self, *kinds: str) -> Iterator[Change]:
        """Yield those whose object is there before and after."""
        return (change for change in self.of(*kinds) if change.kept)


@dataclass(frozen=True, slots=True)
class Rule:
    """A question asked of every change. `check` yields object titles and sentences."""

    check: Callable[[Comparison], Iterator[Finding]]
    severity: Severity

    @property
    def id(self) -> str:
        """Return the name that reports use: the function's own."""
        return self.check.__name__.replace("_", "-")

    def find(self, comparison: Comparison) -> Iterator[Risk]:
        """Yield what the rule finds, once each, or that it can't be applied."""
        try:
            for subject, text in dict.fromkeys(self.check(comparison)):
                yield Risk(self.id, self.severity, subject, text)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            text = f"this rule can't check the change: {type(error).__name__}: {error}"
            yield Risk(self.id, self.severity, "the stack", text)


def risk(severity: Severity) -> Callable[[Callable[[Comparison], Iterator[Finding]]], Rule]:
    return lambda check: Rule(check, severity)


def template_spec(obj: Object) -> Object:
    """Return the pod's spec of a Deployment, a Job or a CronJob, or nothing."""
    path = "spec.jobTemplate.spec" if obj.get("kind") == "CronJob" else "spec"
    found: Object = dig(obj, f"{path}.template.spec") or {}
    return found


def containers(
    comparison: Comparison,
) -> Iterator[tuple[Change, str, Mapping[str, Any], Mapping[str, Any]]]:
    """Yield the containers that are there before and after, those that run first as well."""
    for change in comparison.kept(*OWNERS):
        for key in ("containers", "initContainers"):
            pods = (template_spec(side).get(key) for side in (change.old, change.new))
            for name, before, after in items(*pods):
                if before and after:
                    yield change, name, before, after


def share(value: Any, total: int) -> int:
    """Return a count that may be written as a percentage of `total`."""
    text = str(value)
    return int(text.removesuffix("%")) * total // 100 if text.endswith("%") else int(text)
