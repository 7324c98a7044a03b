"""The shape of an object in Pulumi's state, the same as the official provider's.

The outputs are the object as it is, plus three keys that the provider keeps for itself.
"""

import secrets
from collections.abc import Mapping
from typing import Any, Final

from infra.render_provider.objects import Object
from infra.render_provider.wire import reveal

INPUTS_KEY: Final = "__inputs"
API_VERSION_KEY: Final = "__initialApiVersion"
FIELD_MANAGER_KEY: Final = "__fieldManager"
OWN_KEYS: Final = (INPUTS_KEY, API_VERSION_KEY, FIELD_MANAGER_KEY)


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
