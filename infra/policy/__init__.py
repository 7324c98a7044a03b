"""The rules that every stack keeps: checked by tests, previews and reports.

A rule is a plain function over a stack's objects (`infra/policy/rules.py`), with an id, a reason,
and an example that breaks it in tests/infra/test_policy.py. What is let pass is in `waivers.py`.
"""

from collections.abc import Iterator
from datetime import date
from typing import Final

from infra.policy import capacity, network, pods, references, security
from infra.policy.objects import Stack
from infra.policy.rules import Rule, Violation, Waiver, apply_waivers
from infra.policy.waivers import WAIVERS

RULES: Final[tuple[Rule, ...]] = tuple(
    found
    for module in (capacity, network, pods, references, security)
    for found in vars(module).values()
    if isinstance(found, Rule)
)


def review(
    stack: Stack, waivers: tuple[Waiver, ...] = WAIVERS, today: date | None = None
) -> list[Violation]:
    """Return everything that the rules find, the waived findings with their waiver.

    A waiver that has expired or covers nothing is a finding itself. Only waivers of our own rules
    count; those of other checkers are applied where these run.
    """
    return [found for rule in RULES for found in examine(rule, stack, waivers, today)]


def violations(stack: Stack) -> list[Violation]:
    """Return what has to be fixed; each has a rule, a severity, an object and a message."""
    return [violation for violation in review(stack) if violation.waiver is None]


def examine(
    rule: Rule, stack: Stack, waivers: tuple[Waiver, ...] = WAIVERS, today: date | None = None
) -> Iterator[Violation]:
    """Yield what one rule finds, and what is wrong with its waivers."""
    mine = tuple(w for w in waivers if w.rule == rule.id and stack.name in w.stacks)
    return apply_waivers(_found(rule, stack), mine, today)


def _found(rule: Rule, stack: Stack) -> Iterator[Violation]:
    """Yield what a rule finds; objects of a shape that it doesn't know are a finding as well."""
    try:
        for title, text in rule.check(stack):
            yield Violation(rule.id, rule.severity, title, text)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        text = f"can't be checked by this rule: {type(error).__name__}: {error}"
        yield Violation(rule.id, "mandatory", f"Stack {stack.name}".rstrip(), text)
