"""A Pulumi program of objects that are hard to render alike; test_official_provider.py runs it."""

import os
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from infra.stacks import RENDER_DIR_VARIABLE

WORDS = 'tab\tand "quote", \\ and a  double space ' * 8
TEXTS = {
    "beyond": "a grin 😀 outside the BMP",
    "beyond.lines": "😀 one\ntwo " + "long words " * 20 + "\n",
    "break": "first" + "\n" + WORDS,
    "carriage": "one\r\ntwo\r\n" + WORDS,
    "empty": "",
    "folded": "plain words " * 20,
    "lines": "one\n two\n\nthree",
    "quoted": "'single': " + "words " * 30,
    "spaces": " leads and ends ",
    "tabs": WORDS,
    "trailing": "a line \nand another",
    "umlaut": "Grüße, £5",
    "x" * 120: "a long key",
    "x" * 127: "a longer one",
    "y" * 140: "one that is not simple",
    **{
        f"looks.{number}": text
        for number, text in enumerate(("1e3", ".5", "0o7", "1_0", "<<", "="))
    },
}
RESOURCES = {
    "requests": {"cpu": "1000m", "memory": "1024Mi", "ephemeral-storage": "1536Mi"},
    "limits": {"cpu": "0.5", "memory": "1.5Gi", "ephemeral-storage": "1e3"},
}
CONTAINER = {
    "name": "app",
    "image": "shop/app:1",
    "env": [{"name": "EMPTY", "value": ""}, {"name": "SET", "value": "1"}],
    "resources": RESOURCES,
    "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],  # noqa: S108
}


def described(api: str, kind: str, **fields: Any) -> dict[str, Any]:
    """Return an object with empty labels."""
    metadata = {"name": f"awkward-{kind.lower()}", "namespace": "shop", "labels": {}}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **fields}


OBJECTS = {
    "texts": described("v1", "ConfigMap", data=TEXTS),
    "nothing": described("v1", "ServiceAccount", automountServiceAccountToken=False),
    "empty": described("v1", "ConfigMap", data={}) | {"metadata": {"name": "e", "namespace": "s"}},
    "secret": described("v1", "Secret", data={}),
    "pods": described(
        "apps/v1",
        "Deployment",
        spec={
            "replicas": 0,
            "selector": {"matchLabels": {"app": "a"}},
            "template": {
                "metadata": {"labels": {"app": "a"}, "annotations": {}},
                "spec": {
                    "containers": [CONTAINER],
                    "nodeSelector": {},
                    "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "1024Mi"}}],
                },
            },
        },
    ),
    "closed": described(
        "networking.k8s.io/v1", "NetworkPolicy", spec={"podSelector": {}, "policyTypes": ["Egress"]}
    ),
    "definition": described(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        spec={"group": "toys.dev", "scope": "Cluster", "names": {"kind": "Toy"}, "versions": []},
    ),
    "foreign": described(
        "toys.dev/v1",
        "CustomResourceDefinition",
        spec={"cpu": "1000m", "labels": {}, "env": [{"value": ""}], "data": {}},
    ),
}


class Raw(pulumi.CustomResource):
    """Any kind, with its properties as they are."""

    def __init__(self, name: str, obj: dict[str, Any], opts: pulumi.ResourceOptions) -> None:
        version = obj["apiVersion"] if "/" in obj["apiVersion"] else f"core/{obj['apiVersion']}"
        super().__init__(f"kubernetes:{version}:{obj['kind']}", name, obj, opts)


def declare() -> None:
    """Declare every object, rendered below the folder that the engine names."""
    folder = f"{os.environ[RENDER_DIR_VARIABLE]}/local"
    provider = k8s.Provider("render", render_yaml_to_directory=folder)
    version = k8s._utilities.get_version()  # type: ignore[no-untyped-call]
    for name, obj in OBJECTS.items():
        options = pulumi.ResourceOptions(provider=provider, version=version)
        Raw(name, obj, options)


if __name__ == "__main__":
    declare()
