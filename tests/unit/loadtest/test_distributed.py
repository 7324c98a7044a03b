"""The end of a run with workers; in a process of its own, as locust patches the one it is in."""

import subprocess
import sys

import pytest

SETTINGS = """
import zmq.green
from locust import runners
from loadtest import locustfile

# Sockets must look for themselves well before the leader takes a worker for dead.
socket = zmq.green.Context().socket(zmq.DEALER)
assert socket._gevent_bug_timeout * 10 <= runners.HEARTBEAT_LIVENESS
"""

NO_STALL = """
from locust import runners
from loadtest import locustfile

# What a worker asks for with each option when it is told of new users.
assert runners.argument_parser.default_args_dict() is runners.argument_parser.default_args_dict()
"""

LAST_REPORTS = """
from locust.runners import MasterRunner
from loadtest.distributed import LastReports
from loadtest.profile import SMOKE
from loadtest.shapes import PhasesShape

class Leader(MasterRunner):
    user_count = 5
    def __init__(self):
        self.clients = {"one": None, "two": None}

shape, reports = PhasesShape(), LastReports()
shape.profile, shape.last_reports, shape.runner = SMOKE, reports, Leader()
shape.get_run_time = lambda: SMOKE.duration_s + 1
reports.note("one")  # too early: users are still at work
reports.note("two")
assert shape.tick() == (0, 20.0)
shape.runner.user_count = 0
assert shape.tick() == (0, 20.0)
reports.note("one")
assert shape.tick() == (0, 20.0)
assert reports.count(shape.runner) == 1
reports.note("two")
assert shape.tick() is None
assert reports.count(shape.runner) == 2
"""

A_LOST_WORKER = (
    """
import time
from loadtest import shapes
from loadtest.shapes import PhasesShape
"""
    + LAST_REPORTS.split("assert shape.tick()", maxsplit=1)[0]
    + """
shape.runner.user_count = 0
assert shape.tick() == (0, 20.0)
reports.note("one")
now = time.monotonic() + shapes.END_TIMEOUT_S + 1
time.monotonic = lambda: now
assert shape.tick() is None
assert reports.count(shape.runner) == 1
"""
)


@pytest.mark.parametrize("code", [SETTINGS, NO_STALL, LAST_REPORTS, A_LOST_WORKER])
def test_workers_keep_time_and_lose_nothing(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
