"""Objects are paired by what they are, lists by what their items are."""

import json

import pytest

from infra.review import compare
from infra.review.fields import FieldChange, differences
from infra.review.pairing import pairs
from tests.infra.review.examples import API, CONTAINER, DATABASE, renamed
from tests.infra.review.small_stack import Objects, cut, put, stack


def test_a_hash_of_the_content_in_a_name_is_a_change_and_no_deletion() -> None:
    (change,) = pairs(stack(), stack(renamed))
    assert (change.action, change.title) == ("replaced", "Job migrate-ffffffff")
    assert change.fields == (FieldChange("metadata.name", "migrate-0a1b2c3d", "migrate-ffffffff"),)


def test_a_word_that_is_no_hash_makes_another_object() -> None:
    def other_name(made: Objects) -> None:
        made["Job migrate-0a1b2c3d"]["metadata"]["name"] = "migrate-again"

    assert [change.action for change in pairs(stack(), stack(other_name))] == [
        "deleted",
        "created",
    ]


def test_another_version_of_an_api_is_the_same_object() -> None:
    (change,) = pairs(stack(), stack(put("PodDisruptionBudget api", "apiVersion", "policy/v2")))
    assert (change.action, [field.path for field in change.fields]) == ("changed", ["apiVersion"])


def test_an_immutable_field_makes_a_replacement() -> None:
    (change,) = pairs(stack(), stack(put(API, "spec.selector.matchLabels.app", "x")))
    assert (change.action, change.cause) == ("replaced", "spec.selector")


def test_one_more_container_is_one_addition() -> None:
    proxy = {"name": "a-proxy", "image": "proxy:1"}

    def first(made: Objects) -> None:
        made[API]["spec"]["template"]["spec"]["containers"].insert(0, proxy)

    (change,) = pairs(stack(), stack(first))
    assert change.fields == (FieldChange("spec.template.spec.containers[a-proxy]", None, proxy),)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([{"name": "A", "value": "1"}], [{"name": "A", "value": "2"}], [("[A].value", "1", "2")]),
        (
            [{"port": 1, "protocol": "UDP"}],
            [{"port": 1, "protocol": "TCP"}, {"port": 1, "protocol": "UDP"}],
            [("[1 TCP]", None, {"port": 1, "protocol": "TCP"})],
        ),
        (
            [
                {"alert": "A", "labels": {"severity": "info"}, "expr": "x"},
                {"alert": "A", "expr": "y"},
            ],
            [
                {"alert": "A", "labels": {"severity": "info"}, "expr": "x"},
                {"alert": "A", "expr": "z"},
            ],
            [("[A].expr", "y", "z")],
        ),
        (
            [{"to": 1}],
            [{"to": 2}],
            [('[{"to": 1}]', {"to": 1}, None), ('[{"to": 2}]', None, {"to": 2})],
        ),
        (["a", "b"], ["b"], [("", ["a", "b"], ["b"])]),
        ({"a.b/c": 1}, {"a.b/c": 2}, [("[a.b/c]", 1, 2)]),
    ],
)
def test_items_of_a_list_are_told_apart_by_their_keys(
    before: object, after: object, expected: list[tuple[str, object, object]]
) -> None:
    found = [(each.path, each.before, each.after) for each in differences(before, after)]
    assert found == expected


def test_a_dashboard_is_compared_panel_by_panel() -> None:
    document = json.dumps(
        {"panels": [{"title": "Rate", "targets": [{"refId": "A", "expr": "down"}]}]}
    )

    def edit(made: Objects) -> None:
        made["ConfigMap overview"]["data"]["overview.json"] = document

    (change,) = pairs(stack(), stack(edit))
    assert change.fields == (
        FieldChange("data[overview.json].panels[Rate].targets[A].expr", "up", "down"),
    )


def test_counts_say_what_happens() -> None:
    review = compare(
        "staging", stack(), stack(renamed, cut(DATABASE), put(API, f"{CONTAINER}.image", "x:2"))
    )
    assert review.counts() == {"created": 0, "changed": 1, "replaced": 1, "deleted": 1}
