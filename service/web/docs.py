"""The OpenAPI document as a page at /docs: plain HTML, made once, without a script.

The usual viewers are megabytes of somebody else's code on the origin that takes payments.
"""

import base64
import hashlib
import html
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from aiohttp import hdrs

from service.web import openapi

PATH: Final = "/docs"
Json = dict[str, Any]

STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --quiet: #888; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
nav ul { columns: 18rem; padding-left: 1rem; }
section { border-top: 1px solid var(--line); margin-top: 2rem; }
h3 code { font-size: 1.05em; } .method { font-weight: 700; }
pre { overflow: auto; padding: .75rem; border: 1px solid var(--line); border-radius: .4rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; }
td { border-top: 1px solid var(--line); } .quiet { color: var(--quiet); }
"""
_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing but this one style: no script, no image, no frame, nothing from elsewhere."""
HEADERS: Final = {
    hdrs.CONTENT_TYPE: "text/html; charset=utf-8",
    "Content-Security-Policy": POLICY,
}


def page(document: Json) -> str:
    """Return the page of a document; all that it shows is escaped."""
    return "\n".join(_page(document))


def _page(document: Json) -> Iterator[str]:
    title = f"{document['info']['title']} {document['info']['version']}"
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{_text(title)}</title><style>{STYLE}</style></head><body>"
    yield f"<h1>{_text(title)}</h1><p>{_text(document['info']['summary'])}. "
    yield f'For programs: <a href="{openapi.PATH}">{openapi.PATH}</a></p>'
    found = [
        (path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]
    yield "<nav><ul>"
    for _, _, operation in found:
        name = _text(operation["operationId"])
        yield f'<li><a href="#{name}">{_text(operation["summary"])}</a></li>'
    yield "</ul></nav>"
    for path, method, operation in found:
        yield from _operation(document, path, method, operation)
    yield "</body></html>"


def _operation(document: Json, path: str, method: str, operation: Json) -> Iterator[str]:
    name = _text(operation["operationId"])
    yield f'<section id="{name}"><h2>{_text(operation["summary"])}</h2>'
    yield f'<h3><code><span class="method">{method.upper()}</span> {_text(path)}</code></h3>'
    yield f"<p>{_text(operation.get('description', 'Needs no token.'))}</p>"
    yield "<table><tr><th>Parameter</th><th>In</th><th>Example</th><th></th></tr>"
    for given in operation["parameters"]:
        parameter = _resolved(document, given)
        need = "required" if parameter["required"] else "optional"
        about = parameter.get("description") or parameter["schema"].get("description", "")
        yield (
            f"<tr><td><code>{_text(parameter['name'])}</code><br><span class=quiet>{need}</span>"
            f"</td><td>{_text(parameter['in'])}</td>"
            f"<td><code>{_text(str(parameter['example']))}</code></td><td>{_text(about)}</td></tr>"
        )
    yield "</table>"
    if "requestBody" in operation:
        yield "<h4>Request</h4>"
        yield from _contents(operation["requestBody"]["content"])
    for status, answer in operation["responses"].items():
        yield f"<h4>{status}</h4><p>{_text(answer['description'])}</p>"
        yield from _contents(answer.get("content", {}))
    yield "</section>"


def _contents(content: Json) -> Iterator[str]:
    for media in content.values():
        if "example" in media:  # errors have one form; the description lists their codes
            shown = msgspec.json.format(msgspec.json.encode(media["example"]), indent=2).decode()
            yield f"<pre>{_text(shown)}</pre>"


def _resolved(document: Json, given: Json) -> Json:
    if "$ref" not in given:
        return given
    found: Json = document
    for part in given["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found


def _text(value: str) -> str:
    return html.escape(value, quote=True)
