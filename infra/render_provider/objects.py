"""A Kubernetes object: its names, what must not be rendered of it, its form in Pulumi's state."""

import base64
import secrets
from collections.abc import Mapping
from typing import Any, Final

from infra import labels
from infra.render_provider.wire import Sensitive, contains, reveal

Object = dict[str, Any]

INPUTS_KEY: Final = "__inputs"
API_VERSION_KEY: Final = "__initialApiVersion"
FIELD_MANAGER_KEY: Final = "__fieldManager"
OWN_KEYS: Final = (INPUTS_KEY, API_VERSION_KEY, FIELD_MANAGER_KEY)
"""What the provider keeps for itself in the outputs, as the official one does."""


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


def checkpoint(inputs: Object, before: Mapping[str, Any]) -> Object:
    """Return the outputs to store for `inputs`; what was fixed at creation is kept of `before`."""
    return {
        **inputs,
        INPUTS_KEY: inputs,
        API_VERSION_KEY: before.get(API_VERSION_KEY) or inputs["apiVersion"],
        FIELD_MANAGER_KEY: before.get(FIELD_MANAGER_KEY)
        or f"pulumi-kubernetes-{secrets.token_hex(4)}",
    }


def live_of(outputs: Mapping[str, Any]) -> Object:
    """Return the object as it was last seen, in plain values."""
    return {key: reveal(value) for key, value in outputs.items() if key not in OWN_KEYS}
