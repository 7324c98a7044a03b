"""A worker whose clock stands twenty minutes back: what it stamps is as old as a stalled worker's.

The alert waits for a quarter of an hour that no scaling shortens: it is a threshold.
"""

import os
import sys
from typing import Final

from aiohttp import web

from scripts.skewed import shift
from service import logs
from service.app import build
from service.clock import utc_now
from service.settings import load

BACK_S: Final = 1_200.0


def main() -> int:
    """Run until told to stop, with the settings of any worker, and by the machine's clock."""
    shift(-BACK_S)
    settings = load(os.environ)
    logs.configure(settings)
    web.run_app(
        build(settings, "worker", utc_now),
        host=settings.host,
        port=settings.port,
        access_log=None,
        print=None,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
