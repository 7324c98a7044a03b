"""What a rule is, what it finds, and how a finding is let pass for a while."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from typing import Final, Literal

from infra.policy.objects import Stack

Severity = Literal["mandatory", "advisory"]
"""`mandatory` stops a preview; `advisory` is only shown there. Tests demand both."""

Problem = tuple[str, str]
"""An object's title, and what is wrong with it as the rest of a sentence that begins with it."""

Check = Callable[[Stack], Iterator[Problem]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A check of a whole stack, and why it is worth an argument."""

    check: Check
    why: str
    severity: Severity = "mandatory"

    @property
    def id(self) -> str:
        return self.check.__name__.replace("_", "-")

    @property
    def what(self) -> str:
        """Return what the rule demands or refuses, in one sentence."""
        return " ".join((self.check.__doc__ or "").split())


@dataclass(frozen=True, slots=True)
class Waiver:
    """A finding that is let pass until a day. `object` is a title, or a pattern with `*`."""

    rule: str
    object: str
    reason: str
    expires: date
    """The last day on which it holds; longer than a year ahead nobody remembers why."""
    stacks: tuple[str, ...]

    def covers(self, rule: str, title: str) -> bool:
        """Say whether a finding of this rule at this object is let pass."""
        return rule == self.rule and fnmatchcase(title, self.object)


@dataclass(frozen=True, slots=True)
class Violation:
    """What a rule found. A waived one has the waiver, and nothing has to be done."""

    rule: str
    severity: Severity
    object: str
    text: str
    waiver: Waiver | None = None

    @property
    def message(self) -> str:
        return f"{self.object} {self.text}"

    def __str__(self) -> str:
        return f"{self.rule}: {self.message}"


def rule(why: str, severity: Severity = "mandatory") -> Callable[[Check], Rule]:
    """Make a rule of a check; its id and what it says are the function's name and docstring."""
    return lambda check: Rule(check, why, severity)


WAIVER_RULE: Final = "waivers-hold"
"""The id under which waivers themselves are found wrong."""


def apply_waivers(
    found: Iterator[Violation], waivers: tuple[Waiver, ...], today: date | None = None
) -> Iterator[Violation]:
    """Yield the findings, those that a waiver covers with it, then the waivers that are wrong."""
    day = today or datetime.now(UTC).date()
    used: set[Waiver] = set()
    for violation in found:
        waiver = next((w for w in waivers if w.covers(violation.rule, violation.object)), None)
        if waiver is None:
            yield violation
        else:
            used.add(waiver)
            yield replace(violation, waiver=waiver)
    for waiver in waivers:
        where = f"The waiver of {waiver.rule} for {waiver.object}"
        if waiver not in used:
            yield Violation(WAIVER_RULE, "mandatory", where, "covers nothing: remove it")
        elif day > waiver.expires:
            text = f"expired on {waiver.expires}: fix what it covers ({waiver.reason})"
            yield Violation(WAIVER_RULE, "mandatory", where, text)
