"""Put the simulator together: one aiohttp application."""

import msgspec
from aiohttp import web

from simulator import catalog, control, disputes, library, provider
from simulator.records import DEFAULT_MAX_RECORDS, Records
from simulator.replies import MAX_BODY_BYTES, refusals, reply, require_bearer
from simulator.webhooks import Hook


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The secrets that callers must show, the bound on what is kept, and where webhooks go."""

    api_key: str
    library_token: str
    max_records: int = DEFAULT_MAX_RECORDS
    hook: Hook = Hook()


def make_app(config: Config) -> web.Application:
    """Return the application; everything that it knows is in its memory."""
    simulation = control.Simulation(Records(config.max_records), config.hook)
    app = web.Application(
        middlewares=[
            refusals,
            require_bearer(config.api_key, provider.PREFIX),
            require_bearer(config.library_token, library.PREFIX),
            control.loopback_only,
        ],
        client_max_size=MAX_BODY_BYTES,
    )
    pay = simulation.provider
    app.add_routes(provider.routes(pay, simulation.faults))
    app.add_routes(disputes.routes(pay.disputes, pay.charge, simulation.faults))
    app.add_routes(library.routes(simulation.library, simulation.faults))
    app.add_routes(catalog.routes(simulation.games, simulation.faults))
    app.add_routes(control.routes(simulation))
    app.add_routes([web.get("/health/ready", healthy)])

    async def release_everything(_: web.Application) -> None:
        simulation.faults.close()
        await simulation.webhooks.close()

    app.on_shutdown.append(release_everything)
    return app


async def healthy(_: web.Request) -> web.Response:
    return reply({"status": "ok"})
