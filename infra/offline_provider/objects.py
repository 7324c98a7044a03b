"""What a Kubernetes object is called, and the normal form in which two of them are compared."""

import base64
from collections.abc import Mapping
from typing import Any, Final

from infra import labels
from infra.offline_provider.wire import Sensitive, contains, reveal

Object = dict[str, Any]

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


def metadata(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the object's metadata, or nothing if there is none."""
    found = reveal(obj.get("metadata"))
    return found if isinstance(found, dict) else {}


def name(obj: Mapping[str, Any]) -> str:
    """Return metadata.name, or the empty string when it is missing or not known yet."""
    value = metadata(obj).get("name")
    return value if isinstance(value, str) else ""


def namespace(obj: Mapping[str, Any]) -> str:
    """Return metadata.namespace, or the empty string."""
    value = metadata(obj).get("namespace")
    return value if isinstance(value, str) else ""


def identity(obj: Mapping[str, Any]) -> str:
    """Return Pulumi's id of the object: `namespace/name`, or `name` for one without namespace."""
    return "/".join(part for part in (namespace(obj), name(obj)) if part)


def is_secret(obj: Mapping[str, Any]) -> bool:
    """Say whether this is a core Secret."""
    return obj.get("kind") == "Secret" and obj.get("apiVersion") == "v1"


def normalise(obj: Object) -> Object:
    """Return the object as the API server would store it, as far as its author wrote it.

    Server-written metadata is dropped, and a Secret's stringData becomes data.
    """
    plain = dict(obj)
    if isinstance(plain.get("metadata"), dict):
        plain["metadata"] = {
            key: value for key, value in plain["metadata"].items() if key not in SERVER_FIELDS
        }
    return _encode_string_data(plain) if is_secret(plain) else plain


def written(live: Object) -> Object:
    """Return what an author may have written of an object that is found somewhere."""
    return normalise({key: value for key, value in live.items() if key != "status"})


def _encode_string_data(secret: Object) -> Object:
    texts = secret.pop("stringData", None)
    plain = reveal(texts)
    if not isinstance(plain, dict) or not all(isinstance(text, str) for text in plain.values()):
        return secret if texts is None else {**secret, "stringData": texts}
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in plain.items()}
    return {**secret, "data": {**(reveal(secret.get("data")) or {}), **encoded}}


def exposed(obj: Object) -> list[str]:
    """Return the paths of values that must not be written down in plain text.

    The SDK marks all of a Secret, so there the text decides: only placeholders may be rendered.
    """
    if not is_secret(obj):
        return [key for key, value in obj.items() if contains(value, Sensitive)]
    data = reveal(normalise(obj).get("data")) or {}
    placeholder = base64.b64encode(labels.PLACEHOLDER.encode()).decode()
    return [f"data.{key}" for key, text in data.items() if text != placeholder]


def protect(obj: Object) -> Object:
    """Return the object with a Secret's values marked, whether or not their author did it."""
    if not is_secret(obj):
        return obj
    return {
        key: Sensitive(reveal(value)) if key in ("data", "stringData") else value
        for key, value in obj.items()
    }


def from_urn(urn: str, id_: str) -> Object:
    """Return the little that a URN and an id say about an object that is not in the state.

    The URN's type is `kubernetes:<group>/<version>:<Kind>`, with `core` for the nameless group.
    """
    token = urn.split("::")[2].rpartition("$")[2]
    _, version, kind = token.split(":")
    namespace_, _, name_ = id_.rpartition("/")
    where = {"namespace": namespace_} if namespace_ else {}
    api_version = version.removeprefix("core/")
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name_, **where}}
