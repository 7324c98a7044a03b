"""Small objects for a small namespace."""

from typing import Any

Object = dict[str, Any]

FATE = "fate"
"""A pod's annotation: what kwok makes of it."""
LABELS = {"app": "web"}


def metadata(namespace: str, name: str = "web", **annotations: str) -> Object:
    found: Object = {"name": name, "namespace": namespace}
    return found | ({"annotations": annotations} if annotations else {})


def config_map(namespace: str, name: str = "settings", /, **data: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(namespace, name),
        "data": data,
    }


def secret(namespace: str, **texts: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(namespace, "keys"),
        "stringData": texts,
    }


def template(*, fate: str = "", image: str = "shop/web:1", cpu: str = "100m") -> Object:
    container = {
        "name": "web",
        "image": image,
        "ports": [{"name": "http", "containerPort": 8080}],
        "resources": {"requests": {"cpu": cpu}},
    }
    annotations = {"annotations": {FATE: fate}} if fate else {}
    return {"metadata": {"labels": LABELS, **annotations}, "spec": {"containers": [container]}}


def deployment(namespace: str, *, replicas: int = 2, fate: str = "", **pod: str) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(namespace),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": LABELS},
            "template": template(fate=fate, **pod),
        },
    }


def service(namespace: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(namespace),
        "spec": {"selector": LABELS, "ports": [{"port": 80, "targetPort": "http"}]},
    }


def job(namespace: str, *, fate: str = "", image: str = "shop/web:1") -> Object:
    pod = template(fate=fate, image=image)
    pod["spec"]["restartPolicy"] = "Never"
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(namespace, "migrate"),
        "spec": {"backoffLimit": 0, "template": pod},
    }


def annotated(obj: Object, **annotations: str) -> Object:
    """Return the object with annotations of ours: `skipAwait` is pulumi.com/skipAwait."""
    ours = {f"pulumi.com/{key}": text for key, text in annotations.items()}
    return {**obj, "metadata": {**obj["metadata"], "annotations": ours}}


def game_definition(group: str) -> Object:
    """Return the definition of the kind Game of `group`.dev."""
    schema = {
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": {"players": {"type": "integer"}}},
        },
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"games.{group}.dev"},
        "spec": {
            "group": f"{group}.dev",
            "scope": "Namespaced",
            "names": {"kind": "Game", "plural": "games"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def game(namespace: str, group: str) -> Object:
    return {
        "apiVersion": f"{group}.dev/v1",
        "kind": "Game",
        "metadata": metadata(namespace, "chess"),
        "spec": {"players": 2},
    }
