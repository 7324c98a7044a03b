"""Someone ends `make up` in the middle: the engine and its lock go, the next run puts all right."""

import signal
import time

import psutil
import pytest

from infra import labels
from tests.cluster.conftest import Event
from tests.cluster.shop import Shop

BEGIN_TIMEOUT_S = 180.0  # a preview and a migration come first
END_TIMEOUT_S = 90.0
POLL_S = 0.1
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}

pytestmark = pytest.mark.long


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
def test_up_is_ended_by_a_signal(shop: Shop, event: Event, number: signal.Signals) -> None:
    with event(f"{number.name} to `make up`", failures=False):
        with shop.changed(settings={"log_level": "warning"}):
            process = shop.start("up")
            until_changed(shop)
            family = psutil.Process(process.pid).children(recursive=True)
            assert any("pulumi" in child.name() for child in family)
            process.send_signal(number)
            text, _ = process.communicate(timeout=END_TIMEOUT_S)
        assert process.returncode == CODES[number], text
        left, alive = psutil.wait_procs(family, timeout=END_TIMEOUT_S)
        assert not alive, left
        locks = list((shop.layout.folder / "pulumi" / ".pulumi" / "locks").rglob("*.json"))
        assert not locks
        shop.up()
    drift = shop.run("drift")
    assert drift.code == 0, drift.text


def until_changed(shop: Shop) -> None:
    """Wait until the update has begun to change the cluster: a new revision of the API is there."""
    before = shop.get("deployment", "coinslot-api")["metadata"]["generation"]
    deadline = time.monotonic() + BEGIN_TIMEOUT_S
    while shop.get("deployment", "coinslot-api")["metadata"]["generation"] == before:
        assert time.monotonic() < deadline, "nothing was changed"
        time.sleep(POLL_S)
    assert shop.pods(labels.API)
