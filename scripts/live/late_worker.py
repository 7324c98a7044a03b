"""A worker whose clock stands twenty minutes back: what it stamps is as old as a stalled worker's.

The alert waits for a quarter of an hour that no scaling shortens: it is a threshold.
"""

import os
import sys
from datetime import datetime, timedelta
from typing import Final

from service import logs
from service.serve import serve
from service.settings import load
from service.usecases.context import utc_now

BACK: Final = timedelta(minutes=20)


def late() -> datetime:
    """Return the time, twenty minutes ago."""
    return utc_now() - BACK


def main() -> int:
    """Run until told to stop, with the settings of any worker."""
    settings = load(os.environ, "worker")
    logs.configure(settings)
    serve(settings, "worker", late)
    return 0


if __name__ == "__main__":
    sys.exit(main())
