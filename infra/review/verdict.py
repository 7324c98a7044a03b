"""The outcome of a comparison: what a report shows and what an exit code is made of."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from infra.policy.objects import Stack
from infra.policy.rules import Violation
from infra.review.pairing import Action, Change
from infra.review.risks import SEVERITIES, Risk, Severity

Judge = Callable[[Stack], Iterable[Violation]]

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
        """Return how many objects each action touches."""
        return {
            action: sum(change.action == action for change in self.changes) for action in ACTIONS
        }

    def risk_counts(self) -> dict[Severity, int]:
        """Return how many risks there are of each severity."""
        return {level: sum(risk.severity == level for risk in self.risks) for level in SEVERITIES}

    def reaches(self, severity: Severity) -> bool:
        """Say whether there is a risk at least this severe; a new violation is a high one."""
        worse = SEVERITIES[: SEVERITIES.index(severity) + 1]
        return any(risk.severity in worse for risk in self.risks) or any(
            new for _, new in self.violations
        )


def violations(stack: Stack, judge: Judge) -> list[str]:
    """Return what a judge of this tree says against a side."""
    return [str(violation) for violation in judge(stack)] if stack.objects else []
