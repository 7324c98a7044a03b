"""The garbage collector of a server."""

import subprocess
import sys

LOOK = (
    "import gc; from service.serve import tune_gc; tune_gc();"
    "print(gc.get_threshold()[0], gc.get_freeze_count() > 1_000)"
)


def test_what_is_there_to_stay_is_left_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOK], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.split() == ["20000", "True"]
