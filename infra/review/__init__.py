"""What a change does to a stack: objects paired, fields compared, risks named. Pure.

`compare` takes the objects of two sides; scripts/deploy/diff.py gets them from git and the engine.
"""

from infra.policy.objects import Stack
from infra.review.pairing import pairs, unhashed
from infra.review.risks import RULES, Risk, risks
from infra.review.verdict import Review, violations

__all__ = ["RULES", "Review", "Risk", "compare"]


def compare(name: str, before: Stack, after: Stack) -> Review:
    """Return the review of stack `name`: changes, risks by severity, policy violations."""
    changes = pairs(before, after)
    known = {unhashed(text) for text in violations(before)}
    return Review(
        stack=name,
        changes=changes,
        risks=risks(changes, before, after),
        violations=[(text, unhashed(text) not in known) for text in violations(after)],
    )
