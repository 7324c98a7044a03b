"""The offline provider as a process, and the engine's side of the talk with it."""

import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)

from infra.offline_provider import state, wire
from infra.offline_provider.engine_log import DETAILS_KEY

ROOT: Final = Path(__file__).resolve().parents[2]
EXECUTABLE: Final = ROOT / "infra" / "offline_provider" / "pulumi-resource-kubernetes"
CALL_TIMEOUT_S: Final = 100.0  # below pytest's own; a call that waits for pods says when itself
EXIT_TIMEOUT_S: Final = 15.0  # its grace of five seconds, on a busy machine

HEADERS_BYTES: Final = 16 << 20
"""What the engine takes, Go's default; a failure's details are a header. Python's is 8 KiB."""

Object = dict[str, Any]
Stub = provider_pb2_grpc.ResourceProviderStub


class FakeEngine(engine_pb2_grpc.EngineServicer):
    """Keeps what the provider says to the engine's user."""

    def __init__(self) -> None:
        self.said: list[engine_pb2.LogRequest] = []

    def Log(self, request: engine_pb2.LogRequest, _context: Any) -> empty_pb2.Empty:  # noqa: N802
        self.said.append(request)
        return empty_pb2.Empty()

    def status(self) -> list[str]:
        """Return the progress messages."""
        return [each.message for each in self.said if each.ephemeral]

    def warnings(self) -> list[str]:
        """Return the warnings."""
        return [each.message for each in self.said if each.severity == engine_pb2.WARNING]


class RefusedError(Exception):
    """A call failed; `half_done` says what is there all the same."""

    def __init__(self, error: Any) -> None:
        super().__init__(str(error.details()))
        self.half_done: provider_pb2.ErrorResourceInitFailed | None = None
        for key, value in error.trailing_metadata() or ():
            if key == DETAILS_KEY:
                status = status_pb2.Status.FromString(value)
                self.half_done = provider_pb2.ErrorResourceInitFailed()
                assert status.details[0].Unpack(self.half_done)


def urn(obj: Mapping[str, Any], suffix: str = "") -> str:
    """Return the URN that the engine would give the object."""
    version = obj["apiVersion"] if "/" in obj["apiVersion"] else f"core/{obj['apiVersion']}"
    return f"urn:pulumi:prod::coinslot::kubernetes:{version}:{obj['kind']}{suffix}::it"


@dataclass
class Provider:
    """Makes the engine's calls and unpacks the answers; raises RefusedError."""

    stub: Stub
    engine: FakeEngine = field(default_factory=FakeEngine)

    def configure(self, **settings: str) -> provider_pb2.ConfigureResponse:
        variables = {f"kubernetes:config:{key}": value for key, value in settings.items()}
        request = provider_pb2.ConfigureRequest(variables=variables)
        answer: provider_pb2.ConfigureResponse = self._call("Configure", request)
        return answer

    def check(self, obj: Object, suffix: str = "") -> tuple[Object, list[str]]:
        """Return the normal form of what a program wants, and what is wrong with it."""
        request = provider_pb2.CheckRequest(urn=urn(obj, suffix), news=wire.encode(obj))
        answer = self._call("Check", request)
        return wire.decode(answer.inputs), [failure.reason for failure in answer.failures]

    def create(
        self, obj: Object, *, preview: bool = False, timeout_s: float = 0.0
    ) -> tuple[str, Object]:
        """Return the new object's id and its outputs."""
        inputs, failures = self.check(obj)
        assert failures == []
        request = provider_pb2.CreateRequest(
            urn=urn(obj), properties=wire.encode(inputs), preview=preview, timeout=timeout_s
        )
        answer = self._call("Create", request)
        return answer.id, wire.decode(answer.properties)

    def diff(self, outputs: Object, obj: Object) -> provider_pb2.DiffResponse:
        inputs, _ = self.check(obj)
        request = provider_pb2.DiffRequest(
            urn=urn(obj), olds=wire.encode(outputs), news=wire.encode(inputs)
        )
        answer: provider_pb2.DiffResponse = self._call("Diff", request)
        return answer

    def update(
        self, outputs: Object, obj: Object, *, preview: bool = False, timeout_s: float = 0.0
    ) -> Object:
        """Return the outputs after the update."""
        inputs, _ = self.check(obj)
        request = provider_pb2.UpdateRequest(
            urn=urn(obj),
            olds=wire.encode(outputs),
            news=wire.encode(inputs),
            preview=preview,
            timeout=timeout_s,
        )
        return wire.decode(self._call("Update", request).properties)

    def read(self, id_: str, outputs: Object, obj: Object) -> provider_pb2.ReadResponse:
        """Refresh an object, or import one when there are no outputs."""
        request = provider_pb2.ReadRequest(id=id_, urn=urn(obj), properties=wire.encode(outputs))
        if outputs:
            request.inputs.CopyFrom(wire.encode(state.inputs_of(outputs)))
        answer: provider_pb2.ReadResponse = self._call("Read", request)
        return answer

    def delete(self, id_: str, outputs: Object, *, timeout_s: float = 0.0) -> None:
        request = provider_pb2.DeleteRequest(
            id=id_, urn=urn(outputs), properties=wire.encode(outputs), timeout=timeout_s
        )
        self._call("Delete", request)

    def cancel(self) -> None:
        self._call("Cancel", empty_pb2.Empty())

    def _call(self, method: str, request: Any) -> Any:
        try:
            return getattr(self.stub, method)(request, timeout=CALL_TIMEOUT_S)
        except grpc.RpcError as error:
            raise RefusedError(error) from error


@contextmanager
def started(link: Path, environ: Mapping[str, str] | None = None) -> Iterator[Provider]:
    """Start the executable through a link, as bootstrap installs it, and an engine for it."""
    if not link.is_symlink():
        link.symlink_to(EXECUTABLE)
    engine = FakeEngine()
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    engine_pb2_grpc.add_EngineServicer_to_server(engine, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    command = [str(link), address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        options = [("grpc.max_metadata_size", HEADERS_BYTES)]
        with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
            provider = Provider(Stub(channel), engine)
            try:
                yield provider
            finally:
                process.terminate()
                assert process.wait(EXIT_TIMEOUT_S) == 0
    server.stop(None)
