"""The gRPC service that the engine talks to.

Each call decodes, asks the modules beside this one, and encodes. The engine calls CheckConfig,
DiffConfig and Configure; then, for each object, Check, Diff and Create, Update or Delete; and Read
on a refresh. A preview ends before anything is applied.
"""
# ruff: noqa: N802  the methods are named by the protocol

import functools
from collections.abc import Callable
from typing import Any, Final, TypeVar

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from infra import labels
from infra.offline_provider import diff, immutable, objects, settings, state, wire
from infra.offline_provider.objects import Object
from infra.offline_provider.render import RenderTarget
from infra.offline_provider.target import Target

Request = TypeVar("Request")
Response = TypeVar("Response")
Call = Callable[["KubernetesProvider", Request, grpc.ServicerContext], Response]

PROPERTY_DIFFS: Final = {
    (diff.Kind.ADD, False): provider_pb2.PropertyDiff.ADD,
    (diff.Kind.ADD, True): provider_pb2.PropertyDiff.ADD_REPLACE,
    (diff.Kind.DELETE, False): provider_pb2.PropertyDiff.DELETE,
    (diff.Kind.DELETE, True): provider_pb2.PropertyDiff.DELETE_REPLACE,
    (diff.Kind.UPDATE, False): provider_pb2.PropertyDiff.UPDATE,
    (diff.Kind.UPDATE, True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
}


def explained(call: Call[Request, Response]) -> Call[Request, Response]:
    """Turn an error that has a message for the user into a gRPC status with that message."""

    @functools.wraps(call)
    def wrapper(
        self: "KubernetesProvider", request: Request, context: grpc.ServicerContext
    ) -> Response:
        try:
            return call(self, request, context)
        except ValueError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except OSError as error:
            context.abort(grpc.StatusCode.UNKNOWN, f"{error.filename}: {error.strerror}")
        raise AssertionError("abort raises")

    return wrapper


class KubernetesProvider(provider_pb2_grpc.ResourceProviderServicer):
    """One configured provider. `on_cancel` is called when the engine wants everything to end."""

    def __init__(self, version: str, on_cancel: Callable[[], None]) -> None:
        self._version = version
        self._on_cancel = on_cancel
        self._target: Target | None = None
        self._mutable_content: frozenset[str] = frozenset()

    @explained
    def CheckConfig(
        self, request: provider_pb2.CheckRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        """Refuse arguments that contradict each other."""
        arguments = wire.reveal(wire.decode(request.news))
        failures = [
            provider_pb2.CheckFailure(
                property=key, reason=f'"{key}" can\'t be combined with "{settings.RENDER_KEY}"'
            )
            for key in settings.conflicts(arguments)
        ]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    @explained
    def DiffConfig(
        self, request: provider_pb2.DiffRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        """Another folder means that every manifest is written again."""
        found = diff.changes(wire.decode(request.olds), wire.decode(request.news))
        keys = sorted({str(change.path[0]) for change in found})
        replaces = [key for key in keys if key == settings.RENDER_KEY]
        return provider_pb2.DiffResponse(changes=_some(keys), diffs=keys, replaces=replaces)

    @explained
    def Configure(
        self, request: provider_pb2.ConfigureRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        chosen = settings.from_variables(request.variables)
        self._target = RenderTarget(chosen.directory)
        self._mutable_content = chosen.mutable_content
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    @explained
    def Check(
        self, request: provider_pb2.CheckRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        """Return the object's normal form, or what is wrong with it."""
        wanted = wire.decode(request.news)
        failures = [provider_pb2.CheckFailure(reason=reason) for reason in _faults(wanted)]
        inputs = objects.protect(wire.mark(objects.normalise(wanted), wanted))
        return provider_pb2.CheckResponse(inputs=wire.encode(inputs), failures=failures)

    @explained
    def Diff(
        self, request: provider_pb2.DiffRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        """Compare what is there with what is wanted, property by property."""
        before = wire.decode(request.olds)
        wanted = wire.reveal(wire.decode(request.news))
        there = diff.prune(state.live_of(before), state.inputs_of(before))
        fixed = immutable.immutable_paths(wanted, mutable_content=self._mutable_content)
        replacing: list[str] = []
        detailed: dict[str, provider_pb2.PropertyDiff] = {}
        for change in diff.changes(there, wanted):
            replaces = immutable.forces_replacement(change.path, fixed)
            replacing += [str(change)] if replaces else []
            detailed[str(change)] = provider_pb2.PropertyDiff(
                kind=PROPERTY_DIFFS[change.kind, replaces],
                inputDiff=change.kind is diff.Kind.DELETE,
            )
        return provider_pb2.DiffResponse(
            changes=_some(detailed),
            replaces=replacing,
            # Two objects of one name can't live side by side, so the old one goes first.
            deleteBeforeReplace=bool(replacing)
            and objects.identity(there) == objects.identity(wanted),
            detailedDiff=detailed,
            hasDetailedDiff=True,
        )

    @explained
    def Create(
        self, request: provider_pb2.CreateRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.CreateResponse:
        if request.preview:
            return provider_pb2.CreateResponse(properties=request.properties)
        inputs = wire.decode(request.properties)
        outputs = self._apply(inputs, {})
        return provider_pb2.CreateResponse(id=objects.identity(inputs), properties=outputs)

    @explained
    def Update(
        self, request: provider_pb2.UpdateRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.UpdateResponse:
        if request.preview:
            return provider_pb2.UpdateResponse(properties=request.news)
        outputs = self._apply(wire.decode(request.news), wire.decode(request.olds))
        return provider_pb2.UpdateResponse(properties=outputs)

    def _apply(self, inputs: Object, before: Object) -> Any:
        live = self._where().apply(wire.reveal(inputs))
        marked = objects.protect(wire.mark(live, inputs))
        return wire.encode(state.checkpoint(marked, inputs, before))

    @explained
    def Delete(
        self, request: provider_pb2.DeleteRequest, _context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        self._where().remove(state.live_of(wire.decode(request.properties)))
        return empty_pb2.Empty()

    @explained
    def Read(
        self, request: provider_pb2.ReadRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.ReadResponse:
        """Return the object as it is now; no id says that it is gone.

        For a refresh the state names it; for an import only the URN and the id do.
        """
        before = wire.decode(request.properties)
        known = state.live_of(before) or objects.from_urn(request.urn, request.id)
        live = self._where().read(known)
        if live is None:
            return provider_pb2.ReadResponse()
        inputs = wire.decode(request.inputs) or objects.protect(objects.normalise(live))
        marked = objects.protect(wire.mark(live, inputs))
        return provider_pb2.ReadResponse(
            id=request.id,
            properties=wire.encode(state.checkpoint(marked, inputs, before)),
            inputs=wire.encode(inputs),
        )

    def Cancel(self, _request: empty_pb2.Empty, _context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._on_cancel()
        return empty_pb2.Empty()

    def GetPluginInfo(
        self, _request: empty_pb2.Empty, _context: grpc.ServicerContext
    ) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=self._version)

    def _where(self) -> Target:
        if self._target is None:
            raise ValueError("the engine used the provider before it configured it")
        return self._target


def _some(found: Any) -> provider_pb2.DiffResponse.DiffChanges.ValueType:
    response = provider_pb2.DiffResponse
    return response.DIFF_SOME if found else response.DIFF_NONE


def _faults(wanted: Object) -> list[str]:
    """Return why this object can't be rendered; an empty list means that it can."""
    if not (wanted.get("apiVersion") and wanted.get("kind")):
        return ["not a Kubernetes object: the offline provider renders plain objects only"]
    label = f"{wanted['kind']} {objects.identity(wanted)}".rstrip()
    faults = []
    if not objects.metadata(wanted).get("name"):
        faults.append(f"{label}: set metadata.name; the offline provider invents no names")
    faults += [
        f"{label}: {path} is secret, and rendering would write it down in plain text; in render "
        f"mode put {labels.PLACEHOLDER!r} there"
        for path in objects.exposed(wanted)
    ]
    return faults
