"""The shop on the local cluster: what its tests do to it, and how they look at it."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import yaml

from infra import labels
from scripts import ROOT
from scripts.cluster import stack
from scripts.cluster.layout import Layout
from scripts.cluster.stack import NAMESPACE, STACK
from scripts.kubectl import Kubectl, Object
from scripts.platform.embedded import LOOPBACK, free_port

OUTSIDE: Final = "node1"
"""Where the tests keep what stands for the outside world, with what has one pod only."""
OTHER: Final = "node2"
FORWARD_TIMEOUT_S: Final = 30.0
COMMAND_TIMEOUT_S: Final = 900.0
NOTHING: Final[Mapping[str, str]] = {}
FORCE: Final = {"PULUMI_K8S_ENABLE_PATCH_FORCE": "true"}
"""Lets an `up` take fields over from whoever changed them by hand."""


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it printed."""

    code: int
    text: str


@dataclass(frozen=True)
class Shop:
    layout: Layout

    @cached_property
    def kubectl(self) -> Kubectl:
        return Kubectl(self.layout.kubeconfig)

    @cached_property
    def secrets(self) -> dict[str, str]:
        return dict(stack.secret_values(self.layout))

    def get(self, kind: str, name: str) -> Object:
        found = self.kubectl.get(kind, name, NAMESPACE)
        assert found is not None, f"{kind} {name}"
        return found

    def pods(self, component: str) -> list[Object]:
        """Return the component's pods that are not on their way out."""
        selector = f"{labels.COMPONENT}={component}"
        found = self.kubectl.items("pods", "-n", NAMESPACE, "-l", selector)
        return [
            each
            for each in found
            if "deletionTimestamp" not in each["metadata"]
            and each["status"].get("phase") in ("Running", "Pending")
        ]

    def settings(self) -> dict[str, Any]:
        document: dict[str, Any] = yaml.safe_load(stack.settings_file(self.layout).read_text())
        return document

    def write_settings(self, document: dict[str, Any]) -> None:
        stack.settings_file(self.layout).write_text(yaml.safe_dump(document))

    @contextmanager
    def changed(self, **config: Any) -> Iterator[None]:
        """Change the stack's settings for a block; names are of `coinslot:`, values merged."""
        before = self.settings()
        document = json.loads(json.dumps(before))
        for name, value in config.items():
            key = f"{labels.PROJECT}:{name}"
            old = document["config"].get(key)
            document["config"][key] = {**old, **value} if isinstance(old, dict) else value
        self.write_settings(document)
        try:
            yield
        finally:
            self.write_settings(before)

    def start(
        self, operation: str, *options: str, environ: Mapping[str, str] = NOTHING
    ) -> "subprocess.Popen[str]":
        """Start a command of the stack, as make does."""
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "scripts.deploy.stack", operation, STACK),
                *(f"--settings={stack.settings_file(self.layout)}", *options),
            ],
            cwd=ROOT,
            env={**os.environ, **stack.environment(self.layout), **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, operation: str, *options: str, environ: Mapping[str, str] = NOTHING) -> Done:
        process = self.start(operation, *options, environ=environ)
        text, _ = process.communicate(timeout=COMMAND_TIMEOUT_S)
        return Done(process.returncode, text)

    def up(self, environ: Mapping[str, str] = NOTHING) -> str:
        done = self.run("up", environ=environ)
        assert done.code == 0, done.text
        return done.text

    @contextmanager
    def forwarded(self, namespace: str, what: str, port: int) -> Iterator[int]:
        """Give a port of this machine that leads to a port of a pod, as its own loopback."""
        local = free_port()
        command = self.kubectl.command(
            "port-forward", "-n", namespace, what, f"--address={LOOPBACK}", f"{local}:{port}"
        )
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert "Forwarding from" in line, line
            yield local
        finally:
            process.terminate()
            process.wait(FORWARD_TIMEOUT_S)

    def ask(self, port: int, path: str, body: object = None, method: str = "") -> Any:
        """Ask a forwarded port and return the JSON of its answer."""
        request = urllib.request.Request(
            f"http://{LOOPBACK}:{port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method=method or None,
        )
        with urllib.request.urlopen(request, timeout=FORWARD_TIMEOUT_S) as answer:  # noqa: S310
            return json.load(answer)

    def execute(self, namespace: str, pod: str, *command: str) -> "subprocess.Popen[bytes]":
        """Start a program in a pod's container."""
        inside = self.kubectl.command("exec", "-n", namespace, pod, "--", *command)
        return subprocess.Popen(inside, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def exec(self, namespace: str, pod: str, *command: str) -> str:
        return self.kubectl("exec", "-n", namespace, pod, "--", *command)
