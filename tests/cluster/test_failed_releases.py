"""Releases that can't work: `up` fails soon and says why, the old pods serve on, rollback heals."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from scripts.cluster import stack
from scripts.deploy.engine import Engine
from tests.cluster.conftest import Event
from tests.cluster.shop import Done, Shop

FAILS_WITHIN_S = 120.0
CLEAN = "everything is as applied"


@contextmanager
def failing(shop: Shop, **settings: object) -> Iterator[Done]:
    """Release something that can't work; check that it failed in time."""
    with shop.changed(**settings):
        began = time.monotonic()
        done = shop.run("up")
        took_s = time.monotonic() - began
    assert done.code == 1, done.text
    assert took_s < FAILS_WITHIN_S, f"{took_s:.0f} s: {done.text}"
    yield done


def last_good(shop: Shop) -> str:
    """Return the number of the newest release that succeeded."""
    lines = shop.run("releases").text.splitlines()
    good = [line for line in lines if "FAILED" not in line and re.match(r"\s*\d+ ", line)]
    return good[-1].split()[0]


def back(shop: Shop, release: str) -> None:
    done = shop.run("rollback", "--to", release)
    assert done.code == 0, done.text
    drift = shop.run("drift")
    assert (drift.code, CLEAN in drift.text) == (0, True), drift.text


@pytest.mark.long
def test_an_image_that_is_not_there(shop: Shop, event: Event) -> None:
    good = last_good(shop)
    with event("an image that isn't there", failures=False):
        with failing(shop, image={"tag": "9.9.9"}) as done:
            assert "ImagePull" in done.text or "ErrImage" in done.text
            assert "9.9.9" in done.text
        back(shop, good)


def test_a_database_that_pods_cannot_reach(shop: Shop, event: Event) -> None:
    """The readiness probe of the new pods fails, for their login has another password."""
    good = last_good(shop)
    with event("a readiness probe that fails", failures=False):
        with wrong_secret(shop, "DATABASE_URL"), failing(shop) as done:
            assert "coinslot-api" in done.text
            assert re.search("not ready|readiness|startup", done.text, re.IGNORECASE)
        back(shop, good)


@pytest.mark.long
def test_a_migration_that_fails(shop: Shop, event: Event) -> None:
    good = last_good(shop)
    before = shop.get("deployment", "coinslot-api")
    with event("a migration that fails", failures=False):
        with wrong_secret(shop, "MIGRATION_DATABASE_URL"), failing(shop) as done:
            assert "coinslot-migrate" in done.text
            assert "password" in done.text
        assert shop.get("deployment", "coinslot-api")["spec"] == before["spec"]
        back(shop, good)


@contextmanager
def wrong_secret(shop: Shop, name: str) -> Iterator[None]:
    """Put a password into the settings for a block with which nobody gets in."""
    before = shop.settings()
    engine = Engine(
        backend=shop.layout.folder / "pulumi", config_file=stack.settings_file(shop.layout)
    )
    user, _, rest = shop.secrets[name].rpartition("@")
    wrong = f"{user.rpartition(':')[0]}:wrong@{rest}"
    engine.set_secrets(stack.STACK, {f"{stack.SECRET_VALUES}.{name}": wrong})
    try:
        yield
    finally:
        shop.write_settings(before)
