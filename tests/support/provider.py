"""The provider that renders as a process, and the engine's side of the talk with it."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from infra.render_provider import objects, wire

ROOT: Final = Path(__file__).resolve().parents[2]
EXECUTABLE: Final = ROOT / "infra" / "render_provider" / "pulumi-resource-kubernetes"
CALL_TIMEOUT_S: Final = 30.0  # a call writes one small file, on a busy machine
EXIT_TIMEOUT_S: Final = 15.0  # its grace of five seconds, on a busy machine

Object = dict[str, Any]
Stub = provider_pb2_grpc.ResourceProviderStub


class RefusedError(Exception):
    """A call failed."""

    def __init__(self, error: Any) -> None:
        super().__init__(str(error.details()))


def urn(obj: Mapping[str, Any]) -> str:
    """Return the URN that the engine would give the object."""
    version = obj["apiVersion"] if "/" in obj["apiVersion"] else f"core/{obj['apiVersion']}"
    return f"urn:pulumi:prod::coinslot::kubernetes:{version}:{obj['kind']}::it"


@dataclass
class Provider:
    """Makes the engine's calls and unpacks the answers; raises RefusedError."""

    stub: Stub

    def check_config(self, **arguments: str) -> provider_pb2.CheckResponse:
        request = provider_pb2.CheckRequest(news=wire.encode(arguments))
        answer: provider_pb2.CheckResponse = self._call("CheckConfig", request)
        return answer

    def configure(self, **settings: str) -> provider_pb2.ConfigureResponse:
        variables = {f"kubernetes:config:{key}": value for key, value in settings.items()}
        request = provider_pb2.ConfigureRequest(variables=variables)
        answer: provider_pb2.ConfigureResponse = self._call("Configure", request)
        return answer

    def check(self, obj: Object) -> tuple[Object, list[str]]:
        """Return the normal form of what a program wants, and what is wrong with it."""
        request = provider_pb2.CheckRequest(urn=urn(obj), news=wire.encode(obj))
        answer = self._call("Check", request)
        return wire.decode(answer.inputs), [failure.reason for failure in answer.failures]

    def create(self, obj: Object, *, preview: bool = False) -> tuple[str, Object]:
        """Return the new object's id and its outputs."""
        inputs, failures = self.check(obj)
        assert failures == []
        request = provider_pb2.CreateRequest(
            urn=urn(obj), properties=wire.encode(inputs), preview=preview
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

    def update(self, outputs: Object, obj: Object) -> Object:
        """Return the outputs after the update."""
        inputs, _ = self.check(obj)
        request = provider_pb2.UpdateRequest(
            urn=urn(obj), olds=wire.encode(outputs), news=wire.encode(inputs)
        )
        return wire.decode(self._call("Update", request).properties)

    def read(self, id_: str, outputs: Object, obj: Object) -> provider_pb2.ReadResponse:
        """Refresh an object, or import one when there are no outputs."""
        request = provider_pb2.ReadRequest(id=id_, urn=urn(obj), properties=wire.encode(outputs))
        request.inputs.CopyFrom(wire.encode(outputs.get(objects.INPUTS_KEY, {})))
        answer: provider_pb2.ReadResponse = self._call("Read", request)
        return answer

    def delete(self, id_: str, outputs: Object) -> None:
        request = provider_pb2.DeleteRequest(
            id=id_, urn=urn(outputs), properties=wire.encode(outputs)
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
def started(link: Path) -> Iterator[Provider]:
    """Start the executable through a link, as bootstrap installs it."""
    link.symlink_to(EXECUTABLE)
    command = [str(link), "127.0.0.1:1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            try:
                yield Provider(Stub(channel))
            finally:
                process.terminate()
                assert process.wait(EXIT_TIMEOUT_S) == 0
