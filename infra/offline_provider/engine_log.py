"""What the engine's user is told: words beside a resource, and failures with details."""

from collections import namedtuple
from typing import Final, Protocol

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, status_pb2

DETAILS_KEY: Final = "grpc-status-details-bin"
"""Where gRPC carries a google.rpc.Status."""
TIMEOUT_S: Final = 5.0  # the engine is on this machine; and no word of ours is worth a hung update


class Log(Protocol):
    """Says things to the engine's user, beside a resource if the URN is not empty."""

    def status(self, urn: str, text: str) -> None:
        """Say what goes on; the next status of the resource replaces it."""

    def warn(self, urn: str, text: str) -> None:
        """Say what should be known afterwards, too."""


class EngineLog:
    """Speaks with the engine at `address`."""

    def __init__(self, address: str) -> None:
        self._stub = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address))

    def status(self, urn: str, text: str) -> None:
        """Say what goes on; the next status of the resource replaces it."""
        self._say(engine_pb2.INFO, urn, text, ephemeral=True)

    def warn(self, urn: str, text: str) -> None:
        """Say what should be known afterwards, too."""
        self._say(engine_pb2.WARNING, urn, text, ephemeral=False)

    def _say(
        self, severity: engine_pb2.LogSeverity.ValueType, urn: str, text: str, *, ephemeral: bool
    ) -> None:
        request = engine_pb2.LogRequest(
            severity=severity, urn=urn, message=text, ephemeral=ephemeral
        )
        try:
            self._stub.Log(request, timeout=TIMEOUT_S)
        except grpc.RpcError:
            return  # an engine that is gone hears nothing; the work is what counts


class _Status(namedtuple("_Status", ("code", "details", "trailing_metadata")), grpc.Status):  # noqa: PYI024
    """The three things that grpc.Status asks for."""


def rich_status(text: str, details: Message) -> grpc.Status:
    """Return a failed call's status that carries `details` for the engine."""
    packed = any_pb2.Any()
    packed.Pack(details)
    code = grpc.StatusCode.UNKNOWN
    status = status_pb2.Status(code=code.value[0], message=text, details=[packed])
    return _Status(code, text, ((DETAILS_KEY, status.SerializeToString()),))
