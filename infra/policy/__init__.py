"""The rules that every stack keeps: the judge of tests, previews and reports.

A rule is a plain function over a stack's objects (`infra/policy/rules.py`), with an id, a reason,
and an example that breaks it in tests/infra/test_policy.py. What is let pass is in `waivers.py`.
"""

from collections.abc import Iterator
from datetime import date
from typing import Final

from infra.policy import capacity, network, pods, references, security
from infra.policy.objects import Stack
from infra.policy.rules import Rule, Violation, Waiver, judge
from infra.policy.waivers import WAIVERS

RULES: Final[tuple[Rule, ...]] = (
    capacity.budget_below_minimum,
    capacity.more_than_one_pod,
    capacity.scale_in_range,
    capacity.connections_fit,
    network.denied_by_default,
    network.flows_have_ends,
    network.flows_take_effect,
    network.names_resolve,
    network.stores_reachable,
    network.services_reachable,
    network.merchants_reachable,
    network.scrape_reaches_pods,
    network.operations_apart,
    network.services_inside,
    pods.one_container,
    pods.requests_within_limits,
    pods.image_fixed,
    pods.image_pinned_in_prod,
    pods.probed,
    pods.liveness_differs,
    pods.spread_out,
    pods.rolls_without_loss,
    pods.time_to_drain,
    pods.settings_complete,
    pods.variables_once,
    pods.ports_plain,
    pods.jobs_end,
    pods.jobs_expire,
    pods.priority_in_prod,
    pods.configuration_kept,
    pods.configuration_rolls_pods,
    references.selectors_apart,
    references.service_ports_exist,
    references.monitored_ports_exist,
    references.scaled_metric_served,
    references.named_objects_exist,
    references.namespace_explicit,
    references.names_unique,
    references.labelled,
    references.dashboards_found,
    security.no_token,
    security.own_account,
    security.no_roles,
    security.namespace_restricted,
    security.secrets_by_reference,
    security.secrets_one_by_one,
)


def review(
    stack: Stack, waivers: tuple[Waiver, ...] = WAIVERS, today: date | None = None
) -> list[Violation]:
    """Return everything that the rules find, the waived findings with their waiver.

    A waiver that has expired or covers nothing is a finding itself. Only waivers of our own rules
    count; those of other checkers are judged where these run.
    """
    return [found for rule in RULES for found in examine(rule, stack, waivers, today)]


def violations(stack: Stack) -> list[Violation]:
    """Return what has to be mended; each has a rule, a severity, an object and a message."""
    return [violation for violation in review(stack) if violation.waiver is None]


def examine(
    rule: Rule, stack: Stack, waivers: tuple[Waiver, ...] = WAIVERS, today: date | None = None
) -> Iterator[Violation]:
    """Yield what one rule finds, and what is wrong with its waivers."""
    mine = tuple(w for w in waivers if w.rule == rule.id and stack.name in w.stacks)
    return judge(_found(rule, stack), mine, today)


def _found(rule: Rule, stack: Stack) -> Iterator[Violation]:
    """Yield what a rule finds; objects of a shape that it doesn't know are a finding as well."""
    try:
        for title, text in rule.check(stack):
            yield Violation(rule.id, rule.severity, title, text)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        said = f"can't be judged by this rule: {type(error).__name__}: {error}"
        yield Violation(rule.id, "mandatory", f"Stack {stack.name}".rstrip(), said)
