"""The shape of an object in Pulumi's state, the same as the official provider's.

The outputs are the object as it is, plus three keys that the provider keeps for itself.
"""

import secrets
from collections.abc import Mapping
from typing import Any, Final

from infra.offline_provider.objects import Object
from infra.offline_provider.wire import reveal

INPUTS_KEY: Final = "__inputs"
API_VERSION_KEY: Final = "__initialApiVersion"
FIELD_MANAGER_KEY: Final = "__fieldManager"
OWN_KEYS: Final = (INPUTS_KEY, API_VERSION_KEY, FIELD_MANAGER_KEY)

FIELD_MANAGER_ANNOTATION: Final = "pulumi.com/patchFieldManager"


def checkpoint(live: Object, inputs: Object, before: Mapping[str, Any], manager: str) -> Object:
    """Return the outputs to store for `live`, which was made from `inputs`.

    `before` is the object's state until now; what was fixed at its creation is kept from there.
    """
    return {
        **live,
        INPUTS_KEY: inputs,
        API_VERSION_KEY: before.get(API_VERSION_KEY) or inputs["apiVersion"],
        FIELD_MANAGER_KEY: manager,
    }


def field_manager(inputs: Object, before: Mapping[str, Any]) -> str:
    """Return the name under which the API server records our fields; kept for the object's life."""
    if known := before.get(FIELD_MANAGER_KEY):
        return str(known)
    annotations = (reveal(inputs.get("metadata")) or {}).get("annotations") or {}
    chosen = annotations.get(FIELD_MANAGER_ANNOTATION)
    return chosen if isinstance(chosen, str) else f"pulumi-kubernetes-{secrets.token_hex(4)}"


def inputs_of(outputs: Mapping[str, Any]) -> Object:
    """Return what the object was made from, in plain values."""
    found = reveal(outputs.get(INPUTS_KEY))
    return found if isinstance(found, dict) else {}


def live_of(outputs: Mapping[str, Any]) -> Object:
    """Return the object as it was last seen, in plain values."""
    return {key: reveal(value) for key, value in outputs.items() if key not in OWN_KEYS}
