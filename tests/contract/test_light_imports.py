"""What a preview loads: a library that it doesn't need costs a tenth of a second and more."""

import subprocess
import sys

import pytest

from tests.infra.program import ROOT

IMPORT_TIMEOUT_S = 60  # a second of work; a minute is for a machine that is swamped

SERVERS = {"aiohttp", "aiopg", "cryptography", "jwt", "psycopg2", "purgatory", "structlog", "yoyo"}
"""What the service runs on, and no program that generates something."""


@pytest.mark.parametrize(
    ("modules", "unwanted"),
    [
        ("scripts.deploy.stack", {*SERVERS, "grpc", "infra.policy", "pulumi"}),
        ("scripts.render", {*SERVERS, "alerts", "grafanalib", "grpc", "pulumi"}),
        ("alerts, dashboards, infra.config, infra.components.platform", SERVERS),
        ("infra.policy.pulumi_pack", {*SERVERS, "grafanalib", "pulumi_kubernetes"}),
    ],
)
def test_nothing_is_loaded_that_is_not_needed(modules: str, unwanted: set[str]) -> None:
    code = f"import sys, {modules}; print(*sys.modules)"
    loaded = _run(code).split()

    assert modules.partition(",")[0] in loaded
    assert unwanted & set(loaded) == set()


def test_the_program_runs_without_the_collector() -> None:
    code = (
        "import gc, runpy, infra.config\n"
        "def ask(): print(gc.isenabled()); raise SystemExit\n"
        "infra.config.from_pulumi = ask\n"
        "runpy.run_path('infra/__main__.py', run_name='__main__')"
    )

    assert _run(code) == "False\n"


def _run(code: str) -> str:
    done = subprocess.run(
        (sys.executable, "-c", code),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=IMPORT_TIMEOUT_S,
        check=True,
    )
    return done.stdout
