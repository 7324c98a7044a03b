"""The rules across objects: every stack keeps them, and a broken example of each is caught."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from infra import policy
from infra.policy.objects import ManifestError, Stack, load
from infra.policy.rules import Waiver
from infra.policy.waivers import WAIVERS
from infra.review.pairing import unhashed
from infra.stacks import STACKS
from tests.infra.broken_network import NETWORK, declare_name_server
from tests.infra.broken_stacks import BREAKS
from tests.infra.stacks import WORKER, container, copied, pod, rendered, spec

EXAMPLES = {**BREAKS, **NETWORK}


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_keeps_every_rule(stack: str) -> None:
    assert [str(violation) for violation in policy.violations(rendered(stack))] == []


@pytest.mark.parametrize("case", EXAMPLES)
def test_a_broken_example_is_caught(case: str) -> None:
    damage, message = EXAMPLES[case]
    stack = copied("staging")
    damage(stack)

    found = [str(violation) for violation in policy.violations(stack)]
    shown = (*found, *map(unhashed, found))
    assert any(problem.startswith(message) for problem in shown), found


def test_a_declared_name_server_on_the_node_is_let_pass() -> None:
    stack = copied("staging")
    declare_name_server(stack, "169.254.20.10")
    assert [str(found) for found in policy.violations(stack)] == []


def test_prod_is_held_to_more() -> None:
    stack = copied("prod")
    pod(stack).pop("priorityClassName")
    found = policy.review(stack, waivers=())

    message = {str(violation) for violation in found}
    assert "priority-in-prod: Deployment coinslot-api has no priority class" in message
    assert any(v.rule == "image-pinned-in-prod" for v in found)  # until there is a digest to name
    container(stack).update(image=f"ghcr.io/a/b:1@sha256:{'0' * 64}")
    owners = {
        v.object for v in policy.review(stack, waivers=()) if v.rule == "image-pinned-in-prod"
    }
    assert "Deployment coinslot-worker" in owners
    assert "Deployment coinslot-api" not in owners


def test_every_rule_has_a_broken_example_and_a_reason() -> None:
    proved = {message.partition(":")[0] for _, message in EXAMPLES.values()}

    assert proved | {"priority-in-prod", "image-pinned-in-prod"} == {r.id for r in policy.RULES}
    for rule in policy.RULES:
        assert len(rule.why) > 30, rule.id
        assert rule.what.endswith("."), rule.id


def test_no_broken_example_needs_a_broken_stack() -> None:
    """The examples start from a stack that keeps every rule, or they would prove nothing."""
    assert policy.violations(copied("staging")) == []


@pytest.mark.parametrize(
    "text",
    [
        "kind: List\napiVersion: v1\nmetadata: {}\nitems: []",
        "kind: Pod\napiVersion: v1\nmetadata: {name: a}\n---\nkind: Pod",
        "",
        "- a",
        "kind: [",
    ],
)
def test_a_file_that_would_hide_objects_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "some.yaml").write_text(text)
    with pytest.raises(ManifestError, match=r"some\.yaml is no manifest of one object"):
        load(tmp_path)


def test_objects_of_a_shape_that_a_rule_does_not_know_are_a_finding() -> None:
    stack = copied("staging")
    container(stack)["resources"]["limits"].update(memory="much")
    (message,) = [str(found) for found in policy.violations(stack)]
    assert message.startswith(
        "requests-within-limits: Stack staging can't be checked by this rule: ValueError: 'much'"
    )


TODAY = date(2026, 6, 1)


def waiver(**changes: Any) -> Waiver:
    given = {
        "rule": "more-than-one-pod",
        "object": "Deployment coinslot-w*",
        "reason": "a try",
        "expires": TODAY,
        "stacks": ("staging",),
    }
    return Waiver(**{**given, **changes})


def said_with(stack: Stack, *waivers: Waiver) -> list[str]:
    kept = tuple(w for w in WAIVERS if w.rule == "jobs-expire")
    return [str(v) for v in policy.review(stack, (*kept, *waivers), TODAY) if v.waiver is None]


def test_a_waiver_lets_a_finding_pass_and_is_shown_with_it() -> None:
    stack = copied("staging")
    spec(stack, "Deployment", WORKER).update(replicas=1)

    assert said_with(stack, waiver()) == []
    (waived,) = [v for v in policy.review(stack, (waiver(),), TODAY) if v.waiver]
    assert (waived.rule, waived.object) == ("more-than-one-pod", "Deployment coinslot-worker")
    assert waived.waiver == waiver()


def test_a_waiver_ends() -> None:
    stack = copied("staging")
    spec(stack, "Deployment", WORKER).update(replicas=1)

    assert said_with(stack, waiver(expires=date(2026, 5, 31))) == [
        "waivers-hold: The waiver of more-than-one-pod for Deployment coinslot-w* expired on "
        "2026-05-31: fix what it covers (a try)"
    ]


def test_a_waiver_that_covers_nothing_is_to_be_removed() -> None:
    assert said_with(copied("staging"), waiver()) == [
        "waivers-hold: The waiver of more-than-one-pod for Deployment coinslot-w* covers nothing: "
        "remove it"
    ]
    assert said_with(copied("staging"), waiver(stacks=("prod",))) == []


@pytest.mark.parametrize("given", WAIVERS, ids=lambda w: f"{w.rule} {w.object}")
def test_a_committed_waiver_has_a_reason_and_ends_within_a_year(given: Waiver) -> None:
    assert len(given.reason) > 30
    assert set(given.stacks) <= set(STACKS)
    assert given.expires <= datetime.now(UTC).date() + timedelta(days=366)
    assert given.rule in {rule.id for rule in policy.RULES} or given.rule.startswith("kube-score/")


def test_an_empty_folder_is_an_error_and_no_success(tmp_path: Any) -> None:
    with pytest.raises(FileNotFoundError, match="make render"):
        load(tmp_path)
