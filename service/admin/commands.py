"""The operators' commands, made from the URL table: one for each endpoint that needs their scope.

A command is named after its operation. What the path names comes by position; the fields of the
query and the body are options, of their types and with their descriptions. It calls the endpoint's
handler with the parts of this process, as a caller whose name nobody has verified.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
from msgspec import inspect as kinds

from service.admin.output import Output
from service.api.common import ADMIN, CONTEXT, REPLAYED
from service.api.routes import ROUTES
from service.usecases.context import Context
from service.web import parse
from service.web.auth import Caller
from service.web.endpoint import Call, Endpoint, Nothing
from service.web.openapi import PARAMETER

OK: Final = 0
FAILED: Final = 1
FOUND: Final = 3
"""The command did its work and found what should not be: a broken invariant, a difference."""

Add = Callable[..., argparse.ArgumentParser]

_FINDS: Final[Mapping[str, Callable[[Any], bool]]] = MappingProxyType(
    {
        "getInvariants": lambda answer: any(answer["invariants"].values()),
        "listDifferences": lambda answer: any(not each["resolved_at"] for each in answer["items"]),
    }
)
"""Whether an operation's answer shows what should not be."""

_METAVARS: Final[Mapping[type[kinds.Type], str]] = MappingProxyType(
    {kinds.UUIDType: "ID", kinds.IntType: "NUMBER", kinds.DateTimeType: "TIME"}
)


@dataclass(frozen=True)
class Option:
    """A field of a query or a body; `place` is where in it, and the argument's name."""

    place: str
    kind: kinds.Type
    about: str
    required: bool

    def add_to(self, command: argparse.ArgumentParser) -> None:
        """Let the command take it."""
        given: dict[str, Any] = {"help": self.about.replace("%", "%%"), "required": self.required}
        kind = self.kind
        if isinstance(kind, kinds.ListType | kinds.VarTupleType):
            given["action"], kind = "append", kind.item_type
        match kind:
            case kinds.BoolType():
                given["action"] = "store_true"
            case kinds.LiteralType(values=values):
                given["choices"] = values
            case kinds.EnumType(cls=cls):
                given["choices"] = [each.value for each in cls]
            case _:
                given["metavar"] = _METAVARS.get(type(kind), "TEXT")
        name = self.place.rpartition(".")[2].replace("_", "-")
        command.add_argument(f"--{name}", dest=self.place, default=argparse.SUPPRESS, **given)


def add_commands(add: Add, every: argparse.ArgumentParser, acting: argparse.ArgumentParser) -> None:
    """Add a command for each of the operators' endpoints."""
    for endpoint in ROUTES:
        if endpoint.scope == ADMIN:
            _add(add, [every] if endpoint.method == "GET" else [every, acting], endpoint)


def _add(add: Add, parents: list[argparse.ArgumentParser], endpoint: Endpoint) -> None:
    name = endpoint.handler.__name__.replace("_", "-")
    about = [f"{endpoint.summary}."]
    about += [each.__doc__ or "" for each in (endpoint.query, endpoint.body) if each is not Nothing]
    command = add(name, parents=parents, help=endpoint.summary, description=" ".join(about))
    for parameter in PARAMETER.findall(endpoint.path):
        kind: Any = UUID if parameter.endswith("_id") else str
        command.add_argument(parameter, type=kind, metavar=parameter.upper())
    for place, taken in (("query", endpoint.query), ("body", endpoint.body)):
        for option in _options(kinds.type_info(taken), place):
            option.add_to(command)
    if endpoint.idempotent:
        command.add_argument("--key", help="an idempotency key, to repeat the command safely")
    command.set_defaults(command=partial(run, endpoint))


def _options(struct: Any, place: str) -> Iterator[Option]:
    for field in struct.fields:
        at = f"{place}.{field.encode_name}"
        if isinstance(field.type, kinds.StructType):
            yield from _options(field.type, at)
        else:
            kind, about = _unwrapped(field.type)
            if isinstance(field.default, str | int) and field.default:
                about = f"{about} ({field.default})".strip()
            yield Option(at, kind, about, field.required)


def _unwrapped(found: kinds.Type) -> tuple[kinds.Type, str]:
    """Return a type without its `None`, and its description."""
    about = ""
    while isinstance(found, kinds.UnionType | kinds.Metadata):
        if isinstance(found, kinds.UnionType):
            found = next(each for each in found.types if not isinstance(each, kinds.NoneType))
        else:
            about = (found.extra_json_schema or {}).get("description", about)
            found = found.type
    return found, about


async def run(endpoint: Endpoint, ctx: Context, arguments: argparse.Namespace, out: Output) -> int:
    """Call the endpoint's handler and print its answer."""
    given = vars(arguments)
    named = PARAMETER.findall(endpoint.path)
    ids, path_slugs = parse.path_parameters({name: str(given[name]) for name in named})
    actor = given.get("actor")
    call = Call(
        endpoint=endpoint,
        parts={CONTEXT: ctx},
        header=lambda _: (),
        body=_read(endpoint.body, given, "body"),
        query=_read(endpoint.query, given, "query"),
        identity=Caller(f"cli:{actor}", frozenset({ADMIN})) if actor else None,
        ids=ids,
        path_slugs=path_slugs,
        key=given.get("key") or str(uuid4()),
    )
    reply = await endpoint.handler(call)
    raw = reply.body if isinstance(reply.body, bytes) else msgspec.json.encode(reply.body)
    answer = msgspec.json.decode(raw)
    out.show(endpoint.summary, answer)
    if reply.headers == REPLAYED:
        out.text("decided before, under this key")
    finds = _FINDS.get(endpoint.operation_id)
    return FOUND if finds and finds(answer) else OK


def _read(kind: type, given: Mapping[str, Any], place: str) -> Any:
    """Return the query or body that the options make; raise msgspec.ValidationError."""
    values: dict[str, Any] = {}
    for name, value in given.items():
        first, *path = name.split(".")
        if first == place:
            inner = values
            for step in path[:-1]:
                inner = inner.setdefault(step, {})
            inner[path[-1]] = value
    return msgspec.convert(values, kind, strict=False)
