"""Rules across the objects of a stack, as plain functions over rendered objects.

Each rule takes a `Stack` and yields what is wrong, in sentences. Tests run them over every stack;
each is proved there by an example that breaks it.
"""

from collections.abc import Callable, Iterator
from typing import Final

from infra.policy import capacity, network, pods, references
from infra.policy.objects import Stack

Rule = Callable[[Stack], Iterator[str]]

RULES: Final[tuple[Rule, ...]] = (
    capacity.budget_below_minimum,
    capacity.replicas_left_to_autoscaler,
    capacity.connections_fit,
    network.denied_by_default,
    network.names_resolve,
    network.database_reachable,
    network.services_reachable,
    network.scrape_reaches_pods,
    pods.locked_down,
    pods.bounded,
    pods.time_to_drain,
    pods.settings_complete,
    references.selectors_select,
    references.monitored_ports_exist,
    references.named_objects_exist,
    references.namespace_explicit,
)


def violations(stack: Stack) -> list[str]:
    """Return what is wrong with the stack, each with the rule that says so."""
    return [f"{rule.__name__}: {problem}" for rule in RULES for problem in rule(stack)]
