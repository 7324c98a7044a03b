"""A worker whose clock stands twenty minutes back: what it stamps is as old as a stalled worker's.

The alert waits for a quarter of an hour that no scaling shortens: it is a threshold.
"""

import os
import sys
from datetime import UTC, datetime
from typing import Final

from service import logs
from service.serve import serve
from service.settings import load
from tests.support.skewed import shift

BACK_S: Final = 1_200.0


def main() -> int:
    """Run until SIGTERM, with the settings of any worker, and by the machine's clock."""
    shift(-BACK_S)
    settings = load(os.environ, "worker")
    logs.configure(settings.log_level)
    serve(settings, "worker", lambda: datetime.now(UTC))
    return 0


if __name__ == "__main__":
    sys.exit(main())
