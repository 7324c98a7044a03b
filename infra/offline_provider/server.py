"""The gRPC service that the engine talks to.

Each call decodes, asks the modules beside this one, and encodes. The engine calls CheckConfig,
DiffConfig and Configure; then, for each object, Check, Diff and Create, Update or Delete; and Read
on a refresh. A preview ends before anything is applied.
"""
# ruff: noqa: N802  the methods are named by the protocol

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn, TypeVar

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from infra.offline_provider import diff, immutable, kubeconfig, objects, settings, state, wire
from infra.offline_provider.engine_log import Log, rich_status
from infra.offline_provider.objects import Object
from infra.offline_provider.render import RenderTarget
from infra.offline_provider.target import REPLACE_ANNOTATION, NotReadyError, Order, Target

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


UNREADY: Final = diff.Change(("metadata", "annotations", REPLACE_ANNOTATION), diff.Kind.UPDATE)
"""The difference of a Job that is to be another one until it is done."""
CANCELLED: Final = "the operation was cancelled before this object's turn; nothing was done to it"


def explained(call: Call[Request, Response]) -> Call[Request, Response]:
    """Turn an error that has a message for the user into a gRPC status with that message.

    What comes after a Cancel is answered with that.
    """

    @functools.wraps(call)
    def wrapper(
        self: "KubernetesProvider", request: Request, context: grpc.ServicerContext
    ) -> Response:
        if self.cancelled:
            context.abort(grpc.StatusCode.CANCELLED, CANCELLED)
        try:
            return call(self, request, context)
        except ValueError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except OSError as error:
            context.abort(grpc.StatusCode.UNKNOWN, f"{error.filename}: {error.strerror}")
        raise AssertionError("abort raises")

    return wrapper


class KubernetesProvider(provider_pb2_grpc.ResourceProviderServicer):
    """One configured provider. `stop` is set when the engine wants everything to end."""

    def __init__(self, version: str, log: Log, stop: threading.Event) -> None:
        self._version = version
        self._log = log
        self._stop = stop
        self._target: Target | None = None
        self._mutable_content: frozenset[str] = frozenset()
        self._leaving: set[str] = set()
        """URNs of objects that go before others of their names come."""

    @property
    def cancelled(self) -> bool:
        """Say whether the engine wants everything to end."""
        return self._stop.is_set()

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
        """Another folder, or another cluster, means that every object is made again there."""
        olds = wire.reveal(wire.decode(request.olds))
        news = wire.reveal(wire.decode(request.news))
        keys = sorted({str(change.path[0]) for change in diff.changes(olds, news)})
        replaces = [key for key in keys if key == settings.RENDER_KEY]
        if not replaces and not news.get(settings.RENDER_KEY):
            replaces = self._leads_elsewhere(keys, olds, news)
        return provider_pb2.DiffResponse(changes=_some(keys), diffs=keys, replaces=replaces)

    def _leads_elsewhere(self, keys: list[str], olds: Object, news: Object) -> list[str]:
        """Return the changed keys that lead to another cluster.

        A kubeconfig that has moved to another path, or is of another machine, is no other cluster.
        """
        reaching = [key for key in keys if key in settings.REACHING_KEYS]
        if not reaching or wire.contains([olds, news], wire.Unknown):
            return []
        try:
            servers = {
                kubeconfig.find(settings.from_arguments(side)).server for side in (olds, news)
            }
        except ValueError as error:
            self._log.warn("", f"taken for the same cluster as before: {error}")
            return []
        return reaching if len(servers) > 1 else []

    @explained
    def Configure(
        self, request: provider_pb2.ConfigureRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        chosen = settings.from_variables(request.variables)
        self._target = self._target_of(chosen)
        self._leaving.clear()  # what an operation before has replaced leaves no more
        self._mutable_content = chosen.mutable_content
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def _target_of(self, chosen: settings.ProviderSettings) -> Target:
        if chosen.directory:
            return RenderTarget(chosen.directory)
        # Half a second of imports that rendering does not need.
        from infra.offline_provider.cluster.target import ClusterTarget  # noqa: PLC0415

        return ClusterTarget(chosen, self._log, self._stop)

    @explained
    def Check(
        self, request: provider_pb2.CheckRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        """Return the object's normal form, or what is wrong with it."""
        wanted, target = wire.decode(request.news), self._where()
        refusals = target.refusals(wanted, request.urn)
        failures = [provider_pb2.CheckFailure(reason=reason) for reason in refusals]
        whole = wanted if refusals else target.complete(wanted)
        inputs = objects.protect(wire.mark(objects.normalise(whole), wanted))
        return provider_pb2.CheckResponse(inputs=wire.encode(inputs), failures=failures)

    @explained
    def Diff(
        self, request: provider_pb2.DiffRequest, _context: grpc.ServicerContext
    ) -> provider_pb2.DiffResponse:
        """Compare what is there with what is wanted, property by property."""
        order = _order(wire.decode(request.news), wire.decode(request.olds), request.urn)
        wanted = order.wanted
        there = diff.prune(order.before, state.inputs_of(wire.decode(request.olds)))
        found = diff.changes(there, wanted)
        fixed = immutable.immutable_paths(wanted, mutable_content=self._mutable_content)
        if found:
            found, refused = self._where().settle(order, found)
            fixed += refused
        if self._where().unready(order):
            found, fixed = (*found, UNREADY), (*fixed, UNREADY.path)
        replacing: list[str] = []
        detailed: dict[str, provider_pb2.PropertyDiff] = {}
        for change in found:
            replaces = diff.touches(change.path, fixed)
            replacing += [str(change)] if replaces else []
            detailed[str(change)] = provider_pb2.PropertyDiff(
                kind=PROPERTY_DIFFS[change.kind, replaces],
                inputDiff=change.kind is diff.Kind.DELETE,
            )
        # Two objects of one name can't live side by side, so the old one goes first.
        leaves = bool(replacing) and objects.identity(there) == objects.identity(wanted)
        if leaves:
            self._leaving.add(request.urn)
        return provider_pb2.DiffResponse(
            changes=_some(detailed),
            replaces=replacing,
            deleteBeforeReplace=leaves,
            detailedDiff=detailed,
            hasDetailedDiff=True,
        )

    @explained
    def Create(
        self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CreateResponse:
        inputs = wire.decode(request.properties)
        order = _order(inputs, {}, request.urn, request.timeout)
        if request.preview:
            outputs = self._preview(order, inputs, {}) or request.properties
            return provider_pb2.CreateResponse(properties=outputs)
        outputs = self._apply(order, inputs, {}, context)
        return provider_pb2.CreateResponse(id=objects.identity(inputs), properties=outputs)

    @explained
    def Update(
        self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext
    ) -> provider_pb2.UpdateResponse:
        inputs, before = wire.decode(request.news), wire.decode(request.olds)
        order = _order(inputs, before, request.urn, request.timeout)
        if request.preview:
            outputs = self._preview(order, inputs, before) or request.news
            return provider_pb2.UpdateResponse(properties=outputs)
        outputs = self._apply(order, inputs, before, context)
        return provider_pb2.UpdateResponse(properties=outputs)

    def _preview(self, order: Order, inputs: Object, before: Object) -> struct_pb2.Struct | None:
        if order.urn in self._leaving:
            return None  # in a preview the old one has not gone: a dry run would meet it
        with _discreet(inputs):
            live = self._where().preview(order)
        return None if live is None else _outputs(live, inputs, before, order.manager)

    def _apply(
        self, order: Order, inputs: Object, before: Object, context: grpc.ServicerContext
    ) -> struct_pb2.Struct:
        try:
            with _discreet(inputs):
                live = self._where().apply(order)
        except NotReadyError as error:
            outputs = _outputs(error.live, inputs, before, order.manager)
            reasons = [wire.redact(reason, inputs) for reason in error.reasons]
            half_done = provider_pb2.ErrorResourceInitFailed(
                id=objects.identity(inputs), properties=outputs, reasons=reasons
            )
            context.abort_with_status(rich_status("\n".join(reasons), half_done))
            raise AssertionError("abort raises") from error
        return _outputs(live, inputs, before, order.manager)

    @explained
    def Delete(
        self, request: provider_pb2.DeleteRequest, _context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        known = state.live_of(wire.decode(request.properties))
        order = Order({}, before=known, urn=request.urn, timeout_s=request.timeout)
        self._where().remove(order)
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
        inputs = wire.decode(request.inputs) or objects.protect(objects.written(live))
        manager = state.field_manager(inputs, before)
        return provider_pb2.ReadResponse(
            id=request.id,
            properties=_outputs(live, inputs, before, manager),
            inputs=wire.encode(inputs),
        )

    def Invoke(
        self, request: provider_pb2.InvokeRequest, context: grpc.ServicerContext
    ) -> provider_pb2.InvokeResponse:
        return _missing(context, f"function {request.tok}")

    def Construct(
        self, request: provider_pb2.ConstructRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConstructResponse:
        return _missing(context, f"component {request.type}")

    def Cancel(self, _request: empty_pb2.Empty, _context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._stop.set()
        return empty_pb2.Empty()

    def GetPluginInfo(
        self, _request: empty_pb2.Empty, _context: grpc.ServicerContext
    ) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=self._version)

    def _where(self) -> Target:
        if self._target is None:
            raise ValueError("the engine used the provider before it configured it")
        return self._target


def _missing(context: grpc.ServicerContext, what: str) -> NoReturn:
    text = f"the offline provider has no {what}; see docs/develop/render-provider.md"
    context.abort(grpc.StatusCode.UNIMPLEMENTED, text)
    raise AssertionError("abort raises")


def _some(found: Any) -> provider_pb2.DiffResponse.DiffChanges.ValueType:
    response = provider_pb2.DiffResponse
    return response.DIFF_SOME if found else response.DIFF_NONE


def _order(inputs: Object, before: Object, urn: str, timeout_s: float = 0.0) -> Order:
    return Order(
        wanted=wire.reveal(inputs),
        before=state.live_of(before),
        manager=state.field_manager(inputs, before),
        urn=urn,
        timeout_s=timeout_s,
    )


def _outputs(live: Object, inputs: Object, before: Object, manager: str) -> struct_pb2.Struct:
    """Return what the engine stores, with the secrets marked that the inputs marked."""
    marked = objects.protect(wire.mark(live, inputs))
    return wire.encode(state.checkpoint(marked, inputs, before, manager))


@contextmanager
def _discreet(inputs: Object) -> Iterator[None]:
    """Take the inputs' secrets out of an error's message."""
    try:
        yield
    except ValueError as error:
        raise ValueError(wire.redact(str(error), inputs)) from None
