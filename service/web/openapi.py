"""The OpenAPI 3.1 document, made from the table of endpoints and the types that validate."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args

import msgspec
from aiohttp import hdrs

from service.errors import ServiceError
from service.web import problem
from service.web.endpoint import Endpoint, Nothing
from service.web.examples import EXAMPLES, ID, WEBHOOK, example_of
from service.web.links import LINKS
from service.web.middleware import CORRELATION_ID
from service.web.parse import IDEMPOTENCY_KEY, IDEMPOTENT_REPLAYED, OptionalBody
from service.web.ratelimit import LIMIT, POLICY

PATH: Final = "/openapi.json"
_SCHEMAS: Final = "#/components/schemas/{name}"
_JSON: Final = "application/json"
_ALSO: Final = {
    401: (hdrs.WWW_AUTHENTICATE,),
    403: (hdrs.WWW_AUTHENTICATE,),
    409: (hdrs.RETRY_AFTER,),  # a request under the same key is still running
    415: (hdrs.ACCEPT_ENCODING,),
    429: (hdrs.RETRY_AFTER,),
    503: (hdrs.RETRY_AFTER,),
}
"""Headers that errors of a status may have beside those of every answer."""
PARAMETER: Final = re.compile(r"\{(\w+)\}")

HEADERS: Final = {
    CORRELATION_ID: ("string", "Finds this request in the logs."),
    POLICY: ("string", 'The quotas that apply, e.g. `"user";q=600;w=60`: 600 requests in 60 s.'),
    LIMIT: ("string", 'What is left of them, e.g. `"user";r=599;t=1`: 599, all again after 1 s.'),
    IDEMPOTENT_REPLAYED: ("string", "`true` on the repeated answer of an earlier request."),
    hdrs.WWW_AUTHENTICATE: ("string", "Why the token was refused (RFC 6750)."),
    hdrs.ACCEPT_ENCODING: ("string", "`identity`: bodies are accepted without a Content-Encoding."),
    hdrs.RETRY_AFTER: ("integer", "Seconds to wait before the next try."),
}
"""Headers of answers, with their type and description."""

STATUSES: Final = {
    200: "OK",
    201: "Created",
    202: "Accepted; the outcome is not known yet",
    204: "Done; no content",
}
"""Descriptions of successful answers."""

CORRELATION: Final = EXAMPLES["correlation_id"]

Json = dict[str, Any]


def document(endpoints: Sequence[Endpoint], version: str) -> Json:
    """Return the OpenAPI document of the endpoints."""
    schemas = _schemas(endpoints)
    paths: dict[str, Json] = {}
    for endpoint in endpoints:
        operations = paths.setdefault(endpoint.path, {})
        operations[endpoint.method.lower()] = _operation(endpoint, schemas)
    built = {
        "openapi": "3.1.0",
        "info": {
            "title": "coinslot",
            "version": version,
            "summary": "Orders and payments of a games shop",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "parameters": _parameters(),
            "headers": _headers(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
            "examples": _error_examples(endpoints),
        },
    }
    plain: Json = msgspec.json.decode(msgspec.json.encode(built))  # defaults come as tuples
    return plain


def _schemas(endpoints: Sequence[Endpoint]) -> Json:
    kinds: list[Any] = [problem.Problem]
    for endpoint in endpoints:
        kinds += [endpoint.body, *endpoint.responses.values()]
    wanted = [kind for kind in dict.fromkeys(kinds) if kind not in (bytes, Nothing)]
    refs, schemas = msgspec.json.schema_components(wanted, ref_template=_SCHEMAS)
    for kind, ref in zip(wanted, refs, strict=True):
        name = _name(kind)
        schemas[name] = {**schemas.pop(ref["$ref"].rpartition("/")[2]), "title": name}
    return {name: schemas[name] for name in sorted(schemas)}


def _operation(endpoint: Endpoint, schemas: Json) -> Json:
    operation: Json = {
        "operationId": endpoint.operation_id,
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "parameters": [*_path_parameters(endpoint), *_query_parameters(endpoint, schemas)],
        "responses": _responses(endpoint),
        "security": [] if endpoint.scope is None else [{"bearer": []}],
    }
    if endpoint.scope is not None:
        operation["description"] = f"Needs the scope `{endpoint.scope}`."
    if endpoint.idempotent:
        operation["parameters"].append({"$ref": "#/components/parameters/IdempotencyKey"})
    if endpoint.key_optional:
        operation["parameters"].append({"$ref": "#/components/parameters/OptionalIdempotencyKey"})
    operation["parameters"] += endpoint.headers
    operation["parameters"].append({"$ref": "#/components/parameters/CorrelationId"})
    if endpoint.body is not Nothing:
        required = not issubclass(endpoint.body, OptionalBody)
        operation["requestBody"] = {"required": required, "content": {_JSON: _request(endpoint)}}
    return operation


def _request(endpoint: Endpoint) -> Json:
    if endpoint.body is bytes:  # signed as it is; beyond this only its sender knows its form
        inner: Json = {"type": "object", "required": ["object"]}
        data = {**inner, "properties": {"object": {"type": "object"}}}
        schema = {"type": "object", "required": ["data"], "properties": {"data": data}}
        return {"schema": schema, "example": WEBHOOK}
    return {"schema": _ref(endpoint.body), "example": example_of(endpoint.body)}


def _responses(endpoint: Endpoint) -> Json:
    responses: Json = {}
    for status, kind in endpoint.responses.items():
        keyed = endpoint.idempotent or endpoint.key_optional
        more = (IDEMPOTENT_REPLAYED,) if keyed else ()
        headers = _answer_headers(*more)
        answer: Json = {"description": STATUSES[status], "headers": headers}
        answer["content"] = {_JSON: {"schema": _ref(kind), "example": example_of(kind)}}
        if links := LINKS.get(endpoint.operation_id):
            answer["links"] = links
        responses[str(status)] = answer
    by_status: dict[int, list[type[ServiceError]]] = {}
    for error in endpoint.every_error:
        by_status.setdefault(error.status, []).append(error)
    for status in sorted(by_status):
        responses[str(status)] = _problem(by_status[status])
    return responses


def _problem(errors: Sequence[type[ServiceError]]) -> Json:
    examples = {error.code: {"$ref": f"#/components/examples/{error.code}"} for error in errors}
    content = {"schema": _ref(problem.Problem), "examples": examples}
    return {
        "description": "; ".join(f"`{error.code}`: {error.title}" for error in errors),
        "headers": _answer_headers(*_ALSO.get(errors[0].status, ())),
        "content": {problem.CONTENT_TYPE: content},
    }


def _path_parameters(endpoint: Endpoint) -> list[Json]:
    uuid, slug = (
        {"type": "string", "format": "uuid"},
        {"type": "string", "pattern": "^[a-z0-9_-]+$"},
    )
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": uuid if name.endswith("_id") else slug,
            "example": ID if name.endswith("_id") else EXAMPLES.get(name, name),
        }
        for name in PARAMETER.findall(endpoint.path)
    ]


def _query_parameters(endpoint: Endpoint, schemas: Json) -> list[Json]:
    (_,), found = msgspec.json.schema_components([endpoint.query], ref_template=_SCHEMAS)
    own = found.pop(endpoint.query.__name__)
    examples = example_of(endpoint.query)
    schemas.update({name: schema for name, schema in found.items() if name not in schemas})
    return [
        {
            "name": name,
            "in": "query",
            "required": name in own["required"],
            "schema": schema,
            "example": examples[name],
        }
        for name, schema in own["properties"].items()
    ]


def _parameters() -> Json:
    key = {
        "name": IDEMPOTENCY_KEY,
        "in": "header",
        "description": "Chosen by the client, one for each intent; a repeat gets the answer "
        "of the first request, and never acts twice.",
        "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,255}$"},
        "example": "order-0198f3c2-first-try",
    }
    return {
        "IdempotencyKey": {**key, "required": True},
        "OptionalIdempotencyKey": {**key, "required": False},
        "CorrelationId": {
            "name": CORRELATION_ID,
            "in": "header",
            "required": False,
            "description": "Carried through logs, providers and integrations; created if it is "
            "missing, or not 1 to 64 letters, digits, dots, dashes and underscores.",
            "schema": {"type": "string"},
            "example": CORRELATION,
        },
    }


def _headers() -> Json:
    return {
        name: {"description": description, "schema": {"type": kind}}
        for name, (kind, description) in HEADERS.items()
    }


def _answer_headers(*more: str) -> Json:
    names = (CORRELATION_ID, POLICY, LIMIT, *more)
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _error_examples(endpoints: Sequence[Endpoint]) -> Mapping[str, Json]:
    found = {error.code: error for endpoint in endpoints for error in endpoint.every_error}
    return {code: {"value": _example(found[code])} for code in sorted(found)}


def _example(error: type[ServiceError]) -> Any:
    return msgspec.to_builtins(problem.describe(error(), CORRELATION))


def _ref(kind: Any) -> Json:
    return {"$ref": _SCHEMAS.format(name=_name(kind))}


def _name(kind: Any) -> str:
    """Return the name of a type: `Page[OrderView]` is an OrderPage."""
    of = "".join(each.__name__.removesuffix("View") for each in get_args(kind))
    return f"{of}{kind.__name__}"
