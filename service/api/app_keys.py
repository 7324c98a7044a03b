"""Where handlers find the parts of the running process."""

from typing import Final

from aiohttp import web

from service.usecases.context import Context

CONTEXT: Final = web.AppKey("context", Context)
