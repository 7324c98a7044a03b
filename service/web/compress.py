"""Compressed answers: only large ones, only successes, only for who asked.

Whether that lets somebody guess at a secret by an answer's length (BREACH) is argued in
docs/operate/security.md.
"""

import re
from functools import lru_cache
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

MIN_BYTES: Final = 1_024
"""A smaller answer fits into one packet anyway, and its length would reveal the most."""

_CODING: Final = re.compile(r"([\w*-]+)\s*(?:;\s*q=([01](?:\.\d{0,3})?))?")


@web.middleware
async def compressed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Compress a large answer by gzip or deflate if the client takes it (RFC 9110, 12.5.3)."""
    answer = await handler(request)
    body = answer.body if isinstance(answer, web.Response) else None
    if isinstance(body, bytes) and len(body) >= MIN_BYTES and answer.status < 400:  # noqa: PLR2004
        answer.headers[hdrs.VARY] = hdrs.ACCEPT_ENCODING
        coding = chosen(request.headers.get(hdrs.ACCEPT_ENCODING, ""))
        if coding is not None:
            answer.enable_compression(coding)
    return answer


@lru_cache(maxsize=256)  # clients are of few kinds
def chosen(accepted: str) -> web.ContentCoding | None:
    """Return the coding to use, gzip before deflate, or None; a weight of 0 means no."""
    weights: dict[str, float] = {}
    for item in accepted.lower().split(","):
        if match := _CODING.fullmatch(item.strip()):
            weights[match[1]] = float(match[2] or 1)
    for coding in (web.ContentCoding.gzip, web.ContentCoding.deflate):
        if weights.get(coding.value, weights.get("*", 0.0)) > 0:
            return coding
    return None
