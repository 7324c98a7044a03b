"""Names of a Kubernetes object, and its values that must not be rendered."""

import base64
from collections.abc import Mapping
from typing import Any

from infra import labels
from infra.render_provider.wire import Sensitive, contains, reveal

Object = dict[str, Any]


def name(obj: Mapping[str, Any]) -> str:
    """Return metadata.name, or the empty string when it is missing or not known yet."""
    return _named(obj, "name")


def namespace(obj: Mapping[str, Any]) -> str:
    return _named(obj, "namespace")


def _named(obj: Mapping[str, Any], key: str) -> str:
    metadata = reveal(obj.get("metadata"))
    value = metadata.get(key) if isinstance(metadata, dict) else None
    return value if isinstance(value, str) else ""


def identity(obj: Mapping[str, Any]) -> str:
    """Return Pulumi's id of the object: `namespace/name`, or `name` for one without namespace."""
    return "/".join(part for part in (namespace(obj), name(obj)) if part)


def is_secret(obj: Mapping[str, Any]) -> bool:
    return obj.get("kind") == "Secret" and obj.get("apiVersion") == "v1"


def refusals(inputs: Object) -> list[str]:
    """Return why this object, secrets marked, can't be rendered; empty: it can."""
    if not (inputs.get("apiVersion") and inputs.get("kind")):
        return ["not a Kubernetes object: this provider renders plain objects only"]
    label = f"{inputs['kind']} {identity(inputs)}".rstrip()
    faults = []
    if not name(inputs):
        faults.append(f"{label}: set metadata.name; this provider invents no names")
    faults += [
        f"{label}: {path} is secret, and rendering would write it down in plain text; in "
        f"render mode put {labels.PLACEHOLDER!r} there"
        for path in _exposed(inputs)
    ]
    return faults


def _exposed(obj: Object) -> list[str]:
    """Return the paths of secret values.

    The SDK marks all of a Secret, so there the text decides: only placeholders may be rendered.
    """
    if not is_secret(obj):
        return [key for key, value in obj.items() if contains(value, Sensitive)]
    placeholders = {
        "stringData": labels.PLACEHOLDER,
        "data": base64.b64encode(labels.PLACEHOLDER.encode()).decode(),
    }
    return [
        f"{field}.{key}"
        for field, placeholder in placeholders.items()
        for key, text in (reveal(obj.get(field)) or {}).items()
        if text != placeholder
    ]


def protect(obj: Object) -> Object:
    """Return the object with a Secret's values marked, whether or not their author did it."""
    if not is_secret(obj):
        return obj
    return {
        key: Sensitive(reveal(value)) if key in ("data", "stringData") else value
        for key, value in obj.items()
    }
