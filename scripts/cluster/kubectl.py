"""kubectl with one kubeconfig: what a person would type, with a deadline and the error's text."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scripts.programs import ProgramError, path_of

TIMEOUT_S: Final = 60.0
MARGIN_S: Final = 10.0  # between kubectl's own deadline and ours

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kubectl:
    kubeconfig: Path

    def command(self, *arguments: str) -> list[str]:
        return [str(path_of("kubectl")), f"--kubeconfig={self.kubeconfig}", *arguments]

    def __call__(self, *arguments: str, given: str = "", timeout_s: float = TIMEOUT_S) -> str:
        """Run kubectl; return what it printed, or raise ProgramError with what it said."""
        try:
            done = subprocess.run(
                self.command(*arguments),
                input=given,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            text = f"kubectl {' '.join(arguments)} did not end within {timeout_s:g} s"
            raise ProgramError(text) from error
        if done.returncode:
            raise ProgramError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, text: str) -> None:
        self("apply", "--server-side", "--force-conflicts", "-f", "-", given=text)

    def rollout(self, namespace: str, workloads: Sequence[str], timeout_s: float) -> None:
        """Wait until all pods of these workloads are as they should be."""
        for each in workloads:
            self(
                *("rollout", "status", each, "-n", namespace, f"--timeout={timeout_s:g}s"),
                timeout_s=timeout_s + MARGIN_S,
            )

    def wait(self, condition: str, *what: str, timeout_s: float) -> None:
        self(
            *("wait", f"--for={condition}", *what, f"--timeout={timeout_s:g}s"),
            timeout_s=timeout_s + MARGIN_S,
        )

    def items(self, kind: str, *options: str) -> list[Object]:
        found: list[Object] = json.loads(self("get", kind, "-o", "json", *options))["items"]
        return found

    def get(self, kind: str, name: str, namespace: str = "") -> Object | None:
        """Return an object, or None if there is none."""
        where = [f"--namespace={namespace}"] if namespace else []
        text = self("get", kind, name, "--ignore-not-found", "-o", "json", *where)
        found: Object | None = json.loads(text) if text else None
        return found
