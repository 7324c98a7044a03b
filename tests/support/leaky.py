"""A process of the service that leaks: `python -m tests.support.leaky ROLE`.

Each request that the API answers leaves memory behind, and each fifth an open descriptor.
"""

import os
import sys
from itertools import count
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from service.web import app_factory

LEAKED_BYTES = 48 * 1024
"""A request, as a cache by a key that never comes again; 30 requests a second are 1.4 MiB."""

kept: list[bytearray] = []
numbers = count(1)


@web.middleware
async def leak(request: web.Request, handler: Handler) -> web.StreamResponse:
    kept.append(bytearray(os.urandom(64) * (LEAKED_BYTES // 64)))  # zeros would take no memory
    if next(numbers) % 5 == 0:
        os.open(os.devnull, os.O_RDONLY)
    return await handler(request)


def leaking(build: Any) -> Any:
    def built(*args: Any, **options: Any) -> Any:
        app = build(*args, **options)
        app.middlewares.append(leak)
        return app

    return built


if __name__ == "__main__":
    app_factory.build = leaking(app_factory.build)
    from service.__main__ import main

    sys.exit(main(sys.argv[1:]))
