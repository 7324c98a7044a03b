"""A steady load from a pod in the ingress namespace, and what its customers saw of an event."""

import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, Final
from uuid import uuid4

from infra import labels
from scripts.cluster.stack import NAMESPACE
from service.settings import env_name, fields
from tests.cluster.shop import OUTSIDE, Shop

BUYERS: Final = Path(__file__).with_name("buyers.py")
INGRESS: Final = "ingress-nginx"
RATE: Final = 5.0
"""Purchases a second, each an order and a payment: little enough for two cores with all else."""
CLAIMS: Final = ("jwt_issuer", "jwt_audience")
BEGIN_TIMEOUT_S: Final = 60.0
END_TIMEOUT_S: Final = 150
SAMPLES: Final = 5
POLL_S: Final = 0.1


@dataclass
class Seen:
    """What the customers saw: tries, those that failed, and the longest time without a success."""

    requests: int = 0
    failures: int = 0
    gap_s: float = 0.0
    orders: list[str] = field(default_factory=list)
    why: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    """Purchases that were given up."""
    ended: bool = False
    """Whether the customers told how they ended."""


def seen_in(log: str) -> Seen:
    """Return what the lines of buyers.py say."""
    result, successes = Seen(), []
    for line in log.splitlines():
        entry = json.loads(line)
        if "orders" in entry:
            result.orders, result.lost, result.ended = entry["orders"], entry["lost"], True
            continue
        result.requests += 1
        if entry["ok"]:
            successes.append(entry["at"])
        else:
            result.failures += 1
            result.why[entry["why"][:80]] += 1
    gaps = [after - before for before, after in pairwise(successes)]
    result.gap_s = max(gaps, default=float("inf"))
    return result


class Load:
    """Customers in a pod; their lines arrive in a file as they are printed."""

    def __init__(self, shop: Shop, folder: Path, rate: float = RATE) -> None:
        self._shop = shop
        self._name = f"buyers-{uuid4().hex[:8]}"
        self._log = folder / f"{self._name}.log"
        self._rate = rate
        self._follow: subprocess.Popen[bytes] | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Sell during the block, from the first success to the last customer's answer."""
        kubectl = self._shop.kubectl
        kubectl.apply("\n---\n".join(json.dumps(each) for each in self._objects()))
        try:
            kubectl.wait(
                "condition=Ready", f"pod/{self._name}", "-n", INGRESS, timeout_s=BEGIN_TIMEOUT_S
            )
            with self._log.open("wb") as log:
                self._follow = self._following(log)
            self._until_first()
            yield
        finally:
            self._end()

    def seen(self) -> Seen:
        """Return what was seen from the first success to the last line."""
        return seen_in(self._log.read_text())

    def until_more(self, successes: int, timeout_s: float = BEGIN_TIMEOUT_S) -> None:
        """Wait until so many more requests were answered well."""
        goal = self._successes() + successes
        deadline = time.monotonic() + timeout_s
        while self._successes() < goal:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"no {successes} more answers within {timeout_s:g} s: {self.tail()}"
                )
            time.sleep(POLL_S)

    def tail(self) -> list[str]:
        return self._log.read_text().splitlines()[-SAMPLES:]

    def _successes(self) -> int:
        return self._log.read_bytes().count(b'"ok": true')

    def _until_first(self) -> None:
        deadline = time.monotonic() + BEGIN_TIMEOUT_S
        while not self._successes():
            if time.monotonic() > deadline:
                raise TimeoutError(f"nobody could buy anything: {self.tail()}")
            time.sleep(POLL_S)

    def _following(self, log: IO[Any]) -> "subprocess.Popen[bytes]":
        command = self._shop.kubectl.command("logs", "--follow", "-n", INGRESS, self._name)
        return subprocess.Popen(command, stdout=log, stderr=subprocess.DEVNULL)

    def _end(self) -> None:
        """Let the customers end what they have begun, and the log be read to its end."""
        grace = f"--grace-period={END_TIMEOUT_S}"
        kubectl = self._shop.kubectl
        kubectl("delete", "pod", self._name, "-n", INGRESS, grace, timeout_s=END_TIMEOUT_S + 30)
        if self._follow is not None:
            self._follow.wait(END_TIMEOUT_S)
        kubectl("delete", "secret", self._name, "-n", INGRESS)

    def _objects(self) -> Sequence[dict[str, Any]]:
        metadata = {"name": self._name, "namespace": INGRESS}
        files = {
            "buyers.py": BUYERS.read_text(),
            "JWT_SECRET": self._shop.secrets["JWT_SECRET"],
            **{env_name(name): str(fields()[name].default) for name in CLAIMS},
        }
        image = self._shop.settings()["config"]["coinslot:dependencies"]["simulator"]
        url = f"http://{labels.resource_name(labels.API)}.{NAMESPACE}"
        container = {
            "name": "buyers",
            "image": image,
            "command": ["python3", "/buyers/buyers.py", url, str(self._rate)],
            "env": [
                {"name": name, "valueFrom": {"secretKeyRef": {"name": self._name, "key": name}}}
                for name in files
                if name.isupper()
            ],
            "volumeMounts": [{"name": "buyers", "mountPath": "/buyers", "readOnly": True}],
        }
        spec = {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "nodeSelector": {labels.HOSTNAME: OUTSIDE},
            "terminationGracePeriodSeconds": END_TIMEOUT_S,
            "containers": [container],
            "volumes": [{"name": "buyers", "secret": {"secretName": self._name}}],
        }
        return [
            {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": files},
            {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
        ]
