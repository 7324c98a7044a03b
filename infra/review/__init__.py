"""What a change does to a stack: objects paired, fields compared, risks named. Pure.

`compare` takes the objects of two revisions, which scripts/deploy/diff.py renders.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from infra import policy
from infra.policy.objects import Stack
from infra.policy.rules import Violation
from infra.review.pairing import Action, Change, pairs, unhashed
from infra.review.risks import RULES, SEVERITIES, Risk, Severity, risks

__all__ = ["RULES", "Review", "Risk", "compare"]

Check = Callable[[Stack], Iterable[Violation]]
ACTIONS: Final[tuple[Action, ...]] = ("created", "changed", "replaced", "deleted")


@dataclass(frozen=True, slots=True)
class Review:
    """What a change does to one stack; risks come with the worst first."""

    stack: str
    changes: Sequence[Change]
    risks: Sequence[Risk]
    violations: Sequence[tuple[str, bool]]
    """What the policies say against the new side, and whether they did not before."""

    def counts(self) -> dict[str, int]:
        return {
            action: sum(change.action == action for change in self.changes) for action in ACTIONS
        }

    def risk_counts(self) -> dict[Severity, int]:
        return {level: sum(risk.severity == level for risk in self.risks) for level in SEVERITIES}

    def reaches(self, severity: Severity) -> bool:
        """Say whether there is a risk at least this severe; a new violation is a high one."""
        worse = SEVERITIES[: SEVERITIES.index(severity) + 1]
        return any(risk.severity in worse for risk in self.risks) or any(
            new for _, new in self.violations
        )


def compare(name: str, before: Stack, after: Stack, check: Check = policy.violations) -> Review:
    """Return the review of stack `name`: changes, risks by severity, what a check finds."""
    changes = pairs(before, after)
    known = {unhashed(text) for text in _found(before, check)}
    return Review(
        stack=name,
        changes=changes,
        risks=risks(changes, before, after),
        violations=[(text, unhashed(text) not in known) for text in _found(after, check)],
    )


def _found(stack: Stack, check: Check) -> list[str]:
    return [str(violation) for violation in check(stack)] if stack.objects else []
