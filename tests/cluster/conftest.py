"""The shop on the local cluster, and the table of what its customers saw."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from infra import labels
from scripts.cluster import namespaces
from scripts.cluster.__main__ import FOLDER
from scripts.cluster.layout import CONTROL, Layout
from scripts.cluster.stack import NAMESPACE
from tests.cluster import money, report
from tests.cluster.load import RATE, Load
from tests.cluster.report import Row
from tests.cluster.shop import OTHER, OUTSIDE, Shop

FORMS = ("short", "long")
ROLLOUT_TIMEOUT_S = 180.0
TEST_TIMEOUT_S = 900
"""Two releases and a load, on a machine that is busy with the cluster."""
CLOCKS_S = 1.0
"""The pods' clocks are this machine's; a charge's time is of whole seconds."""
BEFORE = 30
"""Requests that are answered before an event and after it: the load is steady around it."""
SINGLE = (labels.POSTGRESQL, labels.VALKEY, labels.SIMULATOR)
"""Components with one pod each: where they are no node is drained or lost."""

Event = Callable[..., AbstractContextManager[Load]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--form", choices=FORMS, default="long", help="of the tests on real nodes")
    parser.addoption("--report", type=Path, help="write the table of events to this file")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long ones out of the short form, and destroy the stack last."""
    if config.getoption("--form") == "short":
        long = [each for each in items if each.get_closest_marker("long")]
        config.hook.pytest_deselected(items=long)
        items[:] = [each for each in items if each not in long]
    for item in items:
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TEST_TIMEOUT_S))
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = report.rows
    if not rows:
        return
    terminalreporter.section("what customers saw")
    terminalreporter.write_line(report.table(rows))
    path = terminalreporter.config.getoption("--report")
    if path and not terminalreporter.stats.get("failed"):
        report.write(path, rows)


@pytest.fixture(scope="session")
def shop() -> Shop:
    """Return the stack on the cluster of `make cluster`, with all that is single on one node."""
    if problem := namespaces.obstacle():
        pytest.skip(problem)
    layout = Layout(FOLDER)
    assert namespaces.running(layout, CONTROL), "there is no cluster: make cluster"
    found = Shop(layout)
    _gather(found)
    return found


def _gather(shop: Shop) -> None:
    """Let the pods of what has one pod only run on one node, so that the other can be lost."""
    away = [
        pod["metadata"]["name"]
        for component in SINGLE
        for pod in shop.pods(component)
        if pod["spec"].get("nodeName") != OUTSIDE
    ]
    if not away:
        return
    kubectl = shop.kubectl
    kubectl("cordon", OTHER)
    try:
        kubectl("delete", "pod", "-n", NAMESPACE, *away, timeout_s=ROLLOUT_TIMEOUT_S)
        workloads = kubectl("get", "deployment,statefulset", "-n", NAMESPACE, "-o", "name").split()
        kubectl.rollout(NAMESPACE, workloads, ROLLOUT_TIMEOUT_S)
    finally:
        kubectl("uncordon", OTHER)


@pytest.fixture
def event(shop: Shop, tmp_path: Path) -> Event:
    """Return what lets something happen under load, and then judges errors and money."""

    @contextmanager
    def happens(name: str, *, failures: bool = True, rate: float = RATE) -> Iterator[Load]:
        load, began = Load(shop, tmp_path, rate), time.time() - CLOCKS_S
        with load.running():
            load.until_more(BEFORE)
            yield load
            load.until_more(BEFORE)
        seen = load.seen()
        found = money.look(shop, began, seen.orders)
        report.rows.append(Row.of(name, seen, found))
        assert found.right, found
        assert seen.ended
        assert seen.lost == 0
        assert failures or not seen.failures, seen.why

    return happens


@pytest.fixture
def tag(shop: Shop) -> Callable[[str], None]:
    """Return what gives the service's image another tag on each node: a release of its own."""

    def tag(name: str) -> None:
        image = shop.settings()["config"]["coinslot:image"]
        repository = image["repository"]
        for node in (OUTSIDE, OTHER):
            command = ("ctr", "-n", "k8s.io", "images", "tag", "--force")
            names = (f"{repository}:{image['tag']}", f"{repository}:{name}")
            inside = namespaces.enter(shop.layout, node, *command, *names, mounts=True)
            subprocess.run(inside, check=True, capture_output=True, timeout=30)

    return tag
