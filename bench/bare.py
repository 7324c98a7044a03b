"""The ceiling of the web part: a bare aiohttp handler that reads JSON and answers as many bytes."""

import argparse
from typing import Final

from aiohttp import web

ANSWER: Final = b'{"padding":"%s"}' % (b"x" * 466)
"""As long as the service's answer to a payment, of 480 bytes."""


async def pay(request: web.Request) -> web.Response:
    """Answer 201 to any JSON."""
    await request.json()
    return web.Response(status=201, body=ANSWER, content_type="application/json")


async def ready(_request: web.Request) -> web.Response:
    """Answer a readiness check."""
    return web.Response()


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m bench.bare", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    app = web.Application()
    app.router.add_post("/v1/payments", pay)
    app.router.add_get("/health/ready", ready)
    web.run_app(app, host="127.0.0.1", port=parser.parse_args().port, access_log=None, print=None)


if __name__ == "__main__":
    main()
