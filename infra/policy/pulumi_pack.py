"""Lets the engine ask the rules during a preview; `infra/policy/pack` starts it.

The rules of each severity are one policy: the SDK unpacks the whole stack again for each policy,
and for half a hundred of them that took twenty seconds. A mandatory rule stops the preview, an
advisory one only speaks. Where the engine does not know a value yet, it says so instead; the tests
over rendered stacks know all.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)

from infra import labels
from infra.policy import RULES, examine
from infra.policy.objects import Stack
from infra.policy.rules import WAIVER_RULE, Severity

LEVELS: Final[Mapping[Severity, EnforcementLevel]] = {
    "mandatory": EnforcementLevel.MANDATORY,
    "advisory": EnforcementLevel.ADVISORY,
}
OBJECTS: Final = "kubernetes:"
"""What the types of objects begin with; the provider itself is a `pulumi:` one."""
SERVERS: Final = ("status", "data", "stringData")
"""What a server adds, and what is in a Secret: no rule asks for either."""


Wanted = dict[str, Mapping[str, Any]]


def stack_of(resources: Iterable[PolicyResource], wanted: Wanted) -> Stack:
    """Return the objects that the engine is about to make, as the program wants them.

    What the engine gives for a whole stack holds what servers and controllers have set, such as
    the replicas of an autoscaled Deployment; `wanted` holds what the program declared, by URN.
    """
    found = [each for each in resources if each.resource_type.startswith(OBJECTS)]
    return Stack([_object(wanted.get(each.urn, each.props)) for each in found])


def note(wanted: Wanted) -> ResourceValidationPolicy:
    """Return a policy that objects to nothing and writes down what the program wants."""

    def validate(args: ResourceValidationArgs, _report: ReportViolation) -> None:
        wanted[args.urn] = args.props

    return ResourceValidationPolicy(
        name="note", description="Notes what the program wants.", validate=validate
    )


def _object(props: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object without what the provider and the server add to it."""
    hidden = SERVERS if props.get("kind") == "Secret" else SERVERS[:1]
    return {
        key: _plain(value)
        for key, value in props.items()
        if not key.startswith("__") and key not in hidden
    }


def _plain(value: Any) -> Any:
    """Return a value of the wire as YAML has it: whole numbers are whole."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def policy(severity: Severity, wanted: Wanted) -> StackValidationPolicy:
    rules = [rule for rule in RULES if rule.severity == severity]

    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        stack = stack_of(args.resources, wanted)
        urns = {_title(found.props): found.urn for found in args.resources}
        for rule in rules:
            for violation in examine(rule, stack):
                # Waivers are of the committed settings: an image that is given otherwise may need
                # none of them. `make policy` says when one is stale.
                if violation.waiver is None and violation.rule != WAIVER_RULE:
                    report(f"{violation}. {rule.why}", urns.get(violation.object))

    return StackValidationPolicy(
        name=f"{severity}-rules",
        description=f"The {severity} rules of infra/policy.",
        validate=validate,
        enforcement_level=LEVELS[severity],
    )


def _title(props: Mapping[str, Any]) -> str:
    return f"{props['kind']} {props['metadata']['name']}" if "kind" in props else ""


if __name__ == "__main__":
    noted: Wanted = {}
    PolicyPack(labels.PROJECT, [note(noted), *(policy(severity, noted) for severity in LEVELS)])
