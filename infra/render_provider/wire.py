"""The engine's property encoding as plain Python values, and back.

Objects are dicts, arrays lists, numbers floats. Two things have no plain form: a secret is
`Sensitive(value)`, and a value that is known only after an update is `UNKNOWN`.
"""

from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import json_format, struct_pb2
from pulumi.runtime import rpc

SIGNATURE_KEY: Final = "4dabf18193072939515e22adb298388d"
"""The key that tells an encoded special value from an object (Pulumi's resource package)."""
SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  a format's constant


@dataclass(frozen=True, slots=True)
class Sensitive:
    """A value that the engine encrypts in the state and masks in its output."""

    value: Any

    def __repr__(self) -> str:
        return "Sensitive(***)"


class Unknown:
    """The type of UNKNOWN, a value that only the update will compute."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


def decode(properties: struct_pb2.Struct) -> dict[str, Any]:
    """Return `properties` as plain values; raise ValueError for assets and the like."""
    decoded: dict[str, Any] = _decode(json_format.MessageToDict(properties))
    return decoded


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(item) for item in value]
    if isinstance(value, dict):
        signature = value.get(SIGNATURE_KEY)
        if signature == SECRET_SIGNATURE:
            return Sensitive(_decode(value.get("value")))
        if signature is not None:
            raise ValueError("assets and resource references can't be in an object")
        return {key: _decode(item) for key, item in value.items() if item is not None}
    return UNKNOWN if value == rpc.UNKNOWN else value


def encode(properties: dict[str, Any]) -> struct_pb2.Struct:
    """Return the engine's form of plain values; the reverse of `decode`."""
    struct = struct_pb2.Struct()
    struct.update({key: _encode(value) for key, value in properties.items()})
    return struct


def _encode(value: Any) -> Any:
    if isinstance(value, list):
        return [_encode(item) for item in value]
    if isinstance(value, dict):
        return {key: _encode(item) for key, item in value.items()}
    if isinstance(value, Sensitive):
        return {SIGNATURE_KEY: SECRET_SIGNATURE, "value": _encode(value.value)}
    return rpc.UNKNOWN if isinstance(value, Unknown) else value


def reveal(value: Any) -> Any:
    """Return `value` without the Sensitive marks, at any depth."""
    if isinstance(value, Sensitive):
        return reveal(value.value)
    if isinstance(value, dict):
        return {key: reveal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [reveal(item) for item in value]
    return value


def contains(value: Any, kind: type[Sensitive] | type[Unknown]) -> bool:
    """Say whether a mark of `kind` is anywhere in `value`."""
    if isinstance(value, kind):
        return True
    if isinstance(value, Sensitive):
        return contains(value.value, kind)
    if isinstance(value, dict):
        return any(contains(item, kind) for item in value.values())
    return isinstance(value, list) and any(contains(item, kind) for item in value)


def mark(value: Any, like: Any) -> Any:
    """Return `value` with the Sensitive marks of `like`, which has the same shape or less.

    A list with a secret anywhere in it is secret as a whole: items move when a list changes.
    """
    if isinstance(value, dict) and isinstance(like, dict):
        return {key: mark(item, like.get(key)) for key, item in value.items()}
    if not isinstance(value, Sensitive) and contains(like, Sensitive):
        return Sensitive(value)
    return value
