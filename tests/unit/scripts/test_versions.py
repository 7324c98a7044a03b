"""What an object's pods are configured by."""

from typing import Any

import pytest

from scripts.deploy.versions import referred

POD: dict[str, Any] = {
    "containers": [
        {
            "envFrom": [{"configMapRef": {"name": "config-1"}}],
            "env": [
                {"name": "A", "value": "plain"},
                {"name": "B", "valueFrom": {"secretKeyRef": {"name": "secrets-1", "key": "B"}}},
                {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ],
        },
        {"envFrom": [{"secretRef": {"name": "secrets-2"}}]},
        {},
    ]
}


@pytest.mark.parametrize("owner", [{"spec": {"template": {"spec": POD}}}, {"spec": POD}])
def test_a_revision_and_a_pod_refer_to_what_they_are_configured_by(owner: dict[str, Any]) -> None:
    assert set(referred(owner)) == {
        ("configmaps", "config-1"),
        ("secrets", "secrets-1"),
        ("secrets", "secrets-2"),
    }
