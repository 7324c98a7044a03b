"""A program with one migration Job, whose pods wait for a node with the label `database`."""

import pulumi
import pulumi_kubernetes as k8s

from infra import labels

NAME = "migrate"
DEADLINE_S = 8

k8s.batch.v1.Job(
    NAME,
    metadata={
        "name": NAME,
        "namespace": "default",
        "annotations": {labels.REPLACE_UNREADY: "true"},
    },
    spec={
        "backoff_limit": 0,
        "active_deadline_seconds": DEADLINE_S,
        "template": {
            "spec": {
                "node_selector": {"database": "ready"},
                "restart_policy": "Never",
                "containers": [{"name": "migrate", "image": "localhost/coinslot:0.1.0"}],
            },
        },
    },
    opts=pulumi.ResourceOptions(delete_before_replace=True),
)
