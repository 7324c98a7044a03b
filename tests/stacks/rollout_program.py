"""A program with one Deployment, whose image is of the tag that the environment names."""

import os

import pulumi_kubernetes as k8s

NAME = "shop"
LABELS = {"app": NAME}

k8s.apps.v1.Deployment(
    NAME,
    metadata={"name": NAME, "namespace": "default"},
    spec={
        "replicas": 2,
        "selector": {"match_labels": LABELS},
        "template": {
            "metadata": {"labels": LABELS},
            "spec": {
                "containers": [{"name": NAME, "image": f"localhost/shop:{os.environ['TAG']}"}]
            },
        },
    },
)
