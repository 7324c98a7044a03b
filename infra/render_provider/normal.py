"""The form in which the official provider keeps an object.

It sends every object of Kubernetes' own APIs through the API's Go types. These leave out empty
maps and write quantities in one way; custom resources, definitions of these and Secrets are kept
as they are.
"""

import base64
import re
from decimal import Decimal
from typing import Any, Final

from infra.quantities import amount
from infra.render_provider.objects import Object, is_secret
from infra.render_provider.wire import Unknown, contains, reveal

SERVER_FIELDS: Final = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
)
"""Fields of `metadata` that only the API server writes."""

OWN_GROUPS: Final = re.compile(
    r"""(?x) (?: apps | autoscaling | batch | extensions | policy
    | (?: admissionregistration | apiextensions | apiregistration | auditregistration
        | certificates | coordination | discovery | events | flowcontrol\.apiserver | networking
        | node | rbac\.authorization | resource | scheduling | settings | storage
        | storagemigration ) \.k8s\.io
    ) / | v1$"""
)
"""The start of an `apiVersion` of Kubernetes' own."""

MAPS: Final = frozenset(
    {
        *("annotations", "labels", "matchLabels", "nodeSelector", "selector"),
        *("binaryData", "data", "parameters"),
        *("hard", "limits", "requests", "capacity", "overhead"),
    }
)
"""Fields that hold a map; an empty one is left out."""
QUANTITIES: Final = frozenset({"capacity", "hard", "limits", "overhead", "requests"})
"""Maps whose values are quantities."""
QUANTITY_FIELDS: Final = frozenset({"averageValue", "divisor", "sizeLimit"})
BINARY: Final = ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki", "")
DECIMAL: Final = ("E", "P", "T", "G", "M", "k", "", "m", "u", "n")


def is_definition(obj: Object) -> bool:
    """Say whether this is a CustomResourceDefinition, and no kind of that name elsewhere."""
    group = str(obj.get("apiVersion")).partition("/")[0]
    return group == "apiextensions.k8s.io" and obj.get("kind") == "CustomResourceDefinition"


def normalise(obj: Object) -> Object:
    plain = dict(obj)
    if isinstance(plain.get("metadata"), dict):
        plain["metadata"] = {
            key: value for key, value in plain["metadata"].items() if key not in SERVER_FIELDS
        }
    if is_secret(plain):
        return _encode_string_data(plain)
    typed = OWN_GROUPS.match(str(plain.get("apiVersion"))) and not is_definition(plain)
    return _typed(plain) if typed and not contains(plain, Unknown) else plain


def _encode_string_data(secret: Object) -> Object:
    texts = reveal(secret.get("stringData"))
    if not isinstance(texts, dict) or not texts or contains(texts, Unknown):
        return secret
    encoded = {key: base64.b64encode(str(text).encode()).decode() for key, text in texts.items()}
    rest = {key: value for key, value in secret.items() if key != "stringData"}
    return {**rest, "data": {**(reveal(secret.get("data")) or {}), **encoded}}


def _typed(obj: Object) -> Object:
    return {key: _field(key, value) for key, value in obj.items() if not _left_out(key, value)}


def _left_out(key: str, value: Any) -> bool:
    return key in MAPS and value == {}


def _field(key: str, value: Any) -> Any:
    if key in MAPS and isinstance(value, dict):
        if key not in QUANTITIES or not all(map(_is_scalar, value.values())):
            return value  # its keys are the author's, not fields
        return {name: canonical(quantity) for name, quantity in value.items()}
    if key in QUANTITY_FIELDS and _is_scalar(value):
        return canonical(value)
    if key == "env" and isinstance(value, list):
        value = [_without_empty_value(item) for item in value]
    if isinstance(value, list):
        return [_typed(item) if isinstance(item, dict) else item for item in value]
    return _typed(value) if isinstance(value, dict) else value


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _without_empty_value(variable: Any) -> Any:
    if not isinstance(variable, dict) or variable.get("value") != "":
        return variable
    return {key: value for key, value in variable.items() if key != "value"}


def canonical(quantity: str | float) -> str:
    """Return a quantity as the API server writes it: the largest unit that leaves it whole."""
    text = f"{quantity:g}" if isinstance(quantity, float) else str(quantity)
    try:
        value = amount(text)
    except ValueError:
        return text  # the API server refuses it
    if re.search("[eE][-+0-9]", text) or not value:
        return text if value else "0"
    binary = text.endswith("i") and value == int(value)
    units, base = (BINARY, 1024) if binary else (DECIMAL, 1000)
    for power, unit in zip(range(units.index(""), -len(units), -1), units, strict=False):
        count = value / Decimal(base) ** power
        if count == int(count):
            return f"{int(count)}{unit}"
    return text
