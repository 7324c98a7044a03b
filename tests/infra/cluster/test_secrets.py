"""Nothing secret comes out on the way to a cluster: planted values arrive there, and nowhere else.

Render mode has its own search, in tests/infra/test_secrets.py.
"""

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infra.cluster.objects import Object, secret
from tests.infra.cluster.shop import STACK, Shop
from tests.support.kubernetes import Cluster
from tests.support.leaks import PLANTED
from tests.support.planted import leaks, written

pytestmark = [
    pytest.mark.xdist_group("kubernetes"),
    pytest.mark.timeout(300),  # a few runs of a few seconds each, on a busy machine
]

MARKED, FORGOTTEN = "marked", "forgotten"
"""Secrets that the program marks as such, and leaves to the provider to know."""


@pytest.fixture
def shop(cluster: Cluster, namespace: str, tmp_path: Path) -> Iterator[Shop]:
    """Give a stack whose engine logs everything that it does, and writes its events down."""
    environ = {"PULUMI_HOME": str(tmp_path / "home"), "PULUMI_DEBUG_COMMANDS": "true"}
    yield Shop(tmp_path / "shop", cluster, namespace, environ=environ)
    # Whoever searches the output of the whole run would read these bytes as text.
    shutil.rmtree(tmp_path / "home", ignore_errors=True)


def wants(shop: Shop, word: str) -> None:
    shop.wants(MARKED, named(shop, MARKED, word), secret=["stringData"])
    shop.wants(FORGOTTEN, named(shop, FORGOTTEN, word))


def named(shop: Shop, name: str, word: str, key: str = "token") -> Object:
    obj = secret(shop.namespace, **{key: f"{PLANTED}-{word}"})
    return {**obj, "metadata": {**obj["metadata"], "name": name}}


def there(cluster: Cluster, name: str, namespace: str) -> str:
    found = cluster.get("secret", name, namespace)
    assert found is not None
    return base64.b64decode(found["data"]["token"]).decode()


def lived(shop: Shop, cluster: Cluster, namespace: str) -> Iterator[str]:
    """Yield what is said while secrets are made, changed, changed by hand, and refused."""
    wants(shop, "first")
    yield shop.up("--event-log", str(shop.folder / "made.json"))
    wants(shop, "second")
    yield shop.up("--diff", "--event-log", str(shop.folder / "changed.json"))
    for name in (MARKED, FORGOTTEN):
        assert there(cluster, name, namespace) == f"{PLANTED}-second"
        by_hand = f'{{"stringData": {{"token": "{PLANTED}-by-hand"}}}}'
        cluster.kubectl("patch", "secret", name, "-n", namespace, "-p", by_hand)
    yield shop.run("refresh", "--yes", "--diff", "--event-log", str(shop.folder / "seen.json"))
    shop.wants("wrong", named(shop, "wrong", "refused", key="no key"), secret=["stringData"])
    refused = shop.up("--event-log", str(shop.folder / "refused.json"), fails=True)
    assert f"Secret {namespace}/wrong is refused" in refused
    yield refused
    yield shop.run("stack", "export", "--stack", STACK)
    yield shop.run("stack", "history", "--stack", STACK, "--json")


def test_planted_secrets_reach_the_cluster_and_nothing_else(
    shop: Shop, cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    said = list(lived(shop, cluster, namespace))
    assert [leaks(text.encode()) for text in said] == [[]] * len(said)
    shown = shop.run("stack", "export", "--stack", STACK, "--show-secrets")
    assert leaks(shown.encode()), "the values are there, and this search would find them"

    files = written(tmp_path)
    leaking = [path for path, content in files.items() if leaks(content)]
    assert leaking == [shop.folder / "objects.json"], "only what the test gives to the program"
    states = [path for path in files if shop.folder / "state" in path.parents]
    assert sum(b"ciphertext" in files[path] for path in states) >= 2  # and its history
    events = [path for path in files if path.name in ("made.json", "changed.json", "seen.json")]
    assert len([path for path in events if b"resOutputsEvent" in files[path]]) == 3
    logs = [path for path in files if tmp_path / "home" / "logs" in path.parents]
    assert sum(len(files[path]) for path in logs) > 50_000, "the engine's own logs are looked at"
