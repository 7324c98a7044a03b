"""The gRPC service that the engine talks to.

The engine calls CheckConfig, DiffConfig and Configure; then, for each object, Check, Diff and
Create, Update or Delete; and Read on a refresh.
"""
# ruff: noqa: N802  the methods are named by the protocol

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from infra.render_provider import manifests, objects, wire
from infra.render_provider.normal import normalise
from infra.render_provider.objects import Object

Request = TypeVar("Request")
Response = TypeVar("Response")
Call = Callable[["RenderProvider", Request, grpc.ServicerContext], Response]

DIRECTORY: Final = "renderYamlToDirectory"
CLUSTER: Final = ("cluster", "context", "kubeconfig")
"""Arguments that contradict a folder."""
NO_CLUSTER: Final = (
    "this provider only renders manifests and touches no cluster; get the official one with "
    "`tools/bootstrap kubernetes-provider`, and run this again"
)


def explained(call: Call[Request, Response]) -> Call[Request, Response]:
    """Turn an error that has a message for the user into a gRPC status with that message."""

    @functools.wraps(call)
    def wrapper(
        self: "RenderProvider", request: Request, context: grpc.ServicerContext
    ) -> Response:
        try:
            return call(self, request, context)
        except ValueError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except OSError as error:
            context.abort(grpc.StatusCode.UNKNOWN, f"{error.filename}: {error.strerror}")
        raise AssertionError("abort raises")

    return wrapper


class RenderProvider(provider_pb2_grpc.ResourceProviderServicer):
    """Writes and removes the manifest of one object at a time.

    Every object has a file of its own, so calls for different objects may run side by side.
    """

    def __init__(self, version: str) -> None:
        self._version = version
        self._directory = Path()

    @explained
    def CheckConfig(
        self, request: provider_pb2.CheckRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        arguments = wire.reveal(wire.decode(request.news))
        failures = [
            provider_pb2.CheckFailure(
                property=key, reason=f'"{key}" can\'t be combined with "{DIRECTORY}"'
            )
            for key in CLUSTER
            if arguments.get(key)
        ]
        if not arguments.get(DIRECTORY):
            failures = [provider_pb2.CheckFailure(reason=NO_CLUSTER)]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    @explained
    def DiffConfig(
        self, request: provider_pb2.DiffRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        """Another folder means that every object is written again there."""
        olds, news = (wire.reveal(wire.decode(each)) for each in (request.olds, request.news))
        return _replaced({DIRECTORY} if olds.get(DIRECTORY) != news.get(DIRECTORY) else set())

    @explained
    def Configure(
        self, request: provider_pb2.ConfigureRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        """Take the folder; a state may lead here with a cluster, which no check has seen."""
        directory = request.variables.get(f"kubernetes:config:{DIRECTORY}")
        if not directory:
            raise ValueError(NO_CLUSTER)
        self._directory = Path(directory)
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    @explained
    def Check(
        self, request: provider_pb2.CheckRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        """Return the object's normal form, or what is wrong with it."""
        wanted = wire.decode(request.news)
        failures = [provider_pb2.CheckFailure(reason=reason) for reason in objects.refusals(wanted)]
        plain = wanted if failures else normalise(wire.reveal(wanted))
        inputs = objects.protect(wire.mark(plain, wanted))
        return provider_pb2.CheckResponse(inputs=wire.encode(inputs), failures=failures)

    @explained
    def Diff(
        self, request: provider_pb2.DiffRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        """Replace what is called otherwise; the engine itself compares the inputs."""
        old = objects.live_of(wire.decode(request.olds))
        new = wire.reveal(wire.decode(request.news))
        fields = {"metadata.name": objects.name, "metadata.namespace": objects.namespace}
        return _replaced({path for path, of in fields.items() if of(old) != of(new)})

    @explained
    def Create(
        self, request: provider_pb2.CreateRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.CreateResponse:
        """Write the manifest; a preview knows no more than the inputs."""
        if request.preview:
            return provider_pb2.CreateResponse(properties=request.properties)
        inputs = wire.decode(request.properties)
        return provider_pb2.CreateResponse(
            id=objects.identity(inputs), properties=self._write(inputs, {})
        )

    @explained
    def Update(
        self, request: provider_pb2.UpdateRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.UpdateResponse:
        if request.preview:
            return provider_pb2.UpdateResponse(properties=request.news)
        outputs = self._write(wire.decode(request.news), wire.decode(request.olds))
        return provider_pb2.UpdateResponse(properties=outputs)

    @explained
    def Delete(
        self, request: provider_pb2.DeleteRequest, _context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        """Remove the manifest; one that is gone already is no error."""
        known = objects.live_of(wire.decode(request.properties))
        (self._directory / manifests.path_of(known)).unlink(missing_ok=True)
        return empty_pb2.Empty()

    @explained
    def Read(
        self, request: provider_pb2.ReadRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.ReadResponse:
        """Return what was rendered, as the official provider does; a folder can't drift."""
        if not request.properties.fields:
            raise ValueError(f"{request.id}: nothing can be imported; {NO_CLUSTER}")
        return provider_pb2.ReadResponse(
            id=request.id, properties=request.properties, inputs=request.inputs
        )

    def Cancel(self, _request: empty_pb2.Empty, _context: grpc.ServicerContext) -> empty_pb2.Empty:
        """End nothing: a call only writes one file."""
        return empty_pb2.Empty()

    def GetPluginInfo(
        self, _request: empty_pb2.Empty, _context: grpc.ServicerContext
    ) -> plugin_pb2.PluginInfo:
        """Return the version of the SDK, which the official provider shares."""
        return plugin_pb2.PluginInfo(version=self._version)

    def _write(self, inputs: Object, before: Object) -> struct_pb2.Struct:
        """Write the manifest, whole or not at all; return the state."""
        wanted = wire.reveal(inputs)
        path = self._directory / manifests.path_of(wanted)
        for folder in manifests.FOLDERS:
            (self._directory / folder).mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        partial.write_text(manifests.dump(wanted), encoding="utf-8")
        partial.replace(path)
        return wire.encode(objects.checkpoint(inputs, before))


def _replaced(paths: set[str]) -> provider_pb2.DiffResponse:
    response = provider_pb2.DiffResponse
    found = response.DIFF_SOME if paths else response.DIFF_UNKNOWN
    return response(changes=found, replaces=sorted(paths), diffs=sorted(paths))
