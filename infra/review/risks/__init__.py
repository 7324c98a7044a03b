"""What a reviewer should think about before a change is applied, in words to act on.

Each rule is a small function over the changes of a stack, with an id and a severity:

- high: an outage, a lost alarm, open access, or pods that don't start
- medium: less margin than before, or something happens once that is worth watching
- low: good to know
"""

from typing import Final

from infra.review.risks import alerting, capacity, exposure, lifecycle, monitoring, pods, secrets
from infra.review.risks.rule import SEVERITIES, Comparison, Risk, Rule, Severity

__all__ = ["RULES", "SEVERITIES", "Risk", "Rule", "Severity", "risks"]

from collections.abc import Sequence

from infra.policy.objects import Stack
from infra.review.pairing import Change

RULES: Final[tuple[Rule, ...]] = tuple(
    found
    for module in (lifecycle, secrets, exposure, capacity, pods, monitoring, alerting)
    for found in vars(module).values()
    if isinstance(found, Rule)
)


def risks(changes: Sequence[Change], before: Stack, after: Stack) -> list[Risk]:
    comparison = Comparison(changes, before, after)
    found = [risk for rule in RULES for risk in rule.find(comparison)]
    return sorted(found, key=lambda risk: (SEVERITIES.index(risk.severity), risk.object))
