"""What the API server's refusals become, and what never gets into a message."""

from typing import Any

import pytest

from infra.offline_provider import wire
from infra.offline_provider.cluster import words
from infra.offline_provider.cluster.api import ApiError

DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "api", "namespace": "shop"},
}


def refusal(code: int, *causes: dict[str, str], **details: Any) -> ApiError:
    status = {"message": "refused", "details": {**details, "causes": list(causes)}}
    return ApiError(code, status)


def test_a_conflict_names_owner_field_and_remedy() -> None:
    def cause(manager: str, field: str) -> dict[str, str]:
        message = f'conflict with "{manager}" using apps/v1'
        return {"reason": "FieldManagerConflict", "message": message, "field": field}

    error = refusal(409, cause("hpa", ".spec.replicas"), cause("kubectl-edit", ".spec.paused"))

    assert words.is_conflict(error)
    assert words.explain(DEPLOYMENT, error) == (
        "Deployment shop/api: conflict over fields that this program sets: hpa owns spec.replicas; "
        "kubectl-edit owns spec.paused. Leave them out of the program, or take them over: by the "
        'annotation pulumi.com/patchForce: "true", or for all objects of one run by '
        "PULUMI_K8S_ENABLE_PATCH_FORCE=true"
    )


@pytest.mark.parametrize(
    ("field", "message", "path"),
    [
        ("spec.selector", "Invalid value: {}: field is immutable", ("spec", "selector")),
        ("spec.clusterIPs[0]", "may not change once set", ("spec", "clusterIPs")),
        ("roleRef", "cannot change roleRef", ("roleRef",)),
        ("spec", "Forbidden: updates to statefulset spec for fields other than …", ("spec",)),
        ("spec", "Forbidden: pod updates may not change fields other than …", ("spec",)),
        ("spec", "Forbidden: spec is immutable after creation except …", ("spec",)),
    ],
)
def test_fields_that_can_not_change_are_found(
    field: str, message: str, path: tuple[str, ...]
) -> None:
    error = refusal(422, {"field": field, "message": message})

    assert words.fixed_paths(error) == (path,)
    assert f"{field}: {message}" in words.explain(DEPLOYMENT, error)


def test_a_wrong_value_is_no_reason_to_replace() -> None:
    error = refusal(422, {"field": "spec.replicas", "message": "must be at least 0"})

    assert words.fixed_paths(error) == ()


def test_a_missing_namespace_is_told_from_a_missing_object() -> None:
    assert words.lacks_namespace(refusal(404, kind="namespaces", name="shop")) == "shop"
    assert words.lacks_namespace(refusal(404, kind="configmaps", name="shop")) == ""


def test_secrets_are_taken_out_of_a_message() -> None:
    inputs = {
        "env": wire.Sensitive([{"name": "KEY", "value": "hunter2"}]),
        "plain": "visible",
        "short": wire.Sensitive("on"),
    }

    said = wire.redact('Invalid value: "hunter2": not on, but visible', inputs)

    assert said == 'Invalid value: "[secret]": not on, but visible'


def test_whole_numbers_are_integers_again() -> None:
    assert wire.exact({"a": [1.0, 0.5, True, "1.0"]}) == {"a": [1, 0.5, True, "1.0"]}
    assert isinstance(wire.exact(1.0), int)
