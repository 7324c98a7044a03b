"""Releases that can't work: `up` fails soon and says why, the old pods serve on, rollback heals."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from infra import labels
from scripts.cluster.stack import NAMESPACE
from scripts.kubectl import Object
from tests.cluster import variants
from tests.cluster.conftest import Event
from tests.cluster.shop import Done, Shop

FAILS_WITHIN_S = 120.0
CLEAN = "everything is as applied"


@contextmanager
def failing(shop: Shop, tag: str) -> Iterator[Done]:
    """Release an image that can't work; check that it failed in time."""
    with shop.changed(image={"tag": tag}):
        began = time.monotonic()
        done = shop.run("up")
        took_s = time.monotonic() - began
    assert done.code == 1, done.text
    assert took_s < FAILS_WITHIN_S, f"{took_s:.0f} s: {done.text}"
    assert made(shop)[-1]["result"] == "failed"
    yield done


def made(shop: Shop) -> list[Object]:
    """Return the releases, the oldest first."""
    found: list[Object] = json.loads(shop.run("releases", "--json").text)
    return found


def last_good(shop: Shop) -> str:
    """Return the number of the newest release that succeeded."""
    good = [each for each in made(shop) if each["result"] == "succeeded" and not each["dirty"]]
    assert good, "commit your changes and `make up`: nobody can go back to uncommitted ones"
    return str(good[-1]["number"])


def back(shop: Shop, release: str) -> None:
    done = shop.run("rollback", "--to", release)
    assert done.code == 0, done.text
    drift = shop.run("drift")
    assert (drift.code, CLEAN in drift.text) == (0, True), drift.text


@pytest.mark.long
def test_an_image_that_is_not_there(shop: Shop, event: Event) -> None:
    good = last_good(shop)
    with event("an image that isn't there", failures=False):
        with failing(shop, "9.9.9") as done:
            assert re.search("ImagePullBackOff|ErrImagePull", done.text)
            assert "localhost/coinslot:9.9.9" in done.text
        back(shop, good)


@pytest.mark.long
def test_pods_that_do_not_become_ready(shop: Shop, event: Event) -> None:
    good = last_good(shop)
    variants.without_a_database(shop, "0.3.0")
    with event("new pods that don't become ready", failures=False):
        with failing(shop, "0.3.0") as done:
            last = done.text.strip().splitlines()[-1]
            assert "coinslot-api" in last
            assert "probe" in last
        back(shop, good)


def test_a_migration_that_fails(shop: Shop, event: Event) -> None:
    """The old pods keep their settings, too: nothing of the release has begun but its Job."""
    good, api = last_good(shop), "coinslot-api"
    before = shop.get("deployment", api)["spec"]["template"]
    settings = {
        each["metadata"]["name"]
        for each in shop.kubectl.items("configmaps,secrets", "-n", NAMESPACE, "-l", labels.KEPT)
    }
    variants.with_a_broken_migration(shop, "0.4.0")
    with event("a migration that fails", failures=False):
        with failing(shop, "0.4.0") as done:
            assert "coinslot-migrate" in done.text
            assert "division by zero" in done.text
        assert shop.get("deployment", api)["spec"]["template"] == before
        kept = {
            each["metadata"]["name"]
            for each in shop.kubectl.items("configmaps,secrets", "-n", NAMESPACE, "-l", labels.KEPT)
        }
        assert settings <= kept
        back(shop, good)
