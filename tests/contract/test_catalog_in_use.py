"""A metric of the catalog is made by the service, and has the name that was promised."""

import ast
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from service import metric_catalog
from service.metric_catalog import Metric

ROOT = Path(__file__).parents[2]

PROMISED = {
    "payments_total": ("status", "provider"),
    "payment_duration_seconds": ("status", "provider"),
    "payment_amount_histogram": ("currency",),
    "active_payments_gauge": (),
    "orders_total": ("status",),
    "order_duration_seconds": (),
    "payment_provider_requests_total": ("provider", "operation", "outcome"),
    "payment_provider_duration_seconds": ("provider", "operation"),
    "integration_requests_total": ("integration", "operation", "outcome"),
    "integration_duration_seconds": ("integration", "operation"),
    "webhook_requests_total": ("provider", "outcome"),
}
"""What others may have built on: these names don't change without a word to them."""

MAKES = {"inc", "set", "set_each", "observe", "time", "in_progress", "read_at_scrape", "_observe"}
"""Methods of service/metrics.py that give a series a value, and the wrapper in service/app.py."""


def catalog() -> dict[str, Metric]:
    """Return the metrics by the names that they have in the code."""
    return {k: v for k, v in vars(metric_catalog).items() if isinstance(v, Metric)}


def made(root: Path) -> set[str]:
    """Return the code's names of all metrics that the service gives a value."""
    found = set()
    for path in (root / "service").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _name(node.func) in MAKES:
                found |= {_name(argument) for argument in node.args}
    return found


def _name(node: ast.expr) -> str:
    return str(getattr(node, "attr", getattr(node, "id", "")))


def test_the_promised_names_are_kept() -> None:
    by_name = {metric.name: tuple(metric.labels) for metric in catalog().values()}
    assert {name: by_name.get(name) for name in PROMISED} == PROMISED


def test_the_service_makes_every_metric() -> None:
    assert catalog().keys() - made(ROOT) == set()


CHANGES = [
    ("service/metric_catalog.py", '"outbox_lag_seconds"', '"outbox_age_seconds"'),
    (
        "service/metric_catalog.py",
        '"topic": tuple(Topic), "outcome"',
        '"subject": tuple(Topic), "outcome"',
    ),
    ("service/workers/gauges.py", "ctx.metrics.set(m.OUTBOX_LAG, backlog.outbox_oldest_s)", "pass"),
]
"""A metric renamed, a label renamed, a metric dropped from the service."""

NOTICED_S = 60
"""Of a processor's time, so that a machine that is busy otherwise does not count; five are used."""

FAST_TESTS = (
    "tests/contract/test_catalog_in_use.py",
    "tests/contract/test_expressions.py",
    "tests/contract/test_links.py",
)


@pytest.mark.skipif("COINSLOT_MUTANT" in os.environ, reason="this is the mutant")
@pytest.mark.parametrize(("file", "old", "new"), CHANGES, ids=["metric", "label", "dropped"])
@pytest.mark.timeout(300)
def test_a_rename_fails_a_test(tmp_path: Path, file: str, old: str, new: str) -> None:
    for folder in ("service", "alerts", "dashboards", "docs", "infra", "scripts", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    text = (tmp_path / file).read_text()
    assert text.count(old) == 1
    (tmp_path / file).write_text(text.replace(old, new))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        (sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *FAST_TESTS),
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path), "COINSLOT_MUTANT": "1"},
        capture_output=True,
        text=True,
        timeout=280,  # ten seconds by itself; the machine may be swamped
        check=False,
    )
    # 1: a test failed; 2: what uses the label can't even be imported, which names it.
    assert done.returncode in {1, 2}, done.stdout
    assert "no module named" not in done.stdout.lower()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime - before.ru_utime < NOTICED_S
