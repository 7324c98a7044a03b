"""kubectl with one kubeconfig: what a person would type, with a deadline and the error's text."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scripts import programs

MARGIN_S: Final = 10.0  # between kubectl's own deadline and ours

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kubectl:
    kubeconfig: Path | None = None
    """None is the person's own."""
    namespace: str = ""
    request_timeout_s: float = 0
    """For the server's answer; 0 leaves it to the deadline of a call."""

    def command(self, *arguments: str) -> list[str]:
        return [str(programs.path_of("kubectl")), *self._options(), *arguments]

    def __call__(
        self, *arguments: str, given: str = "", timeout_s: float = programs.TIMEOUT_S
    ) -> str:
        """Run kubectl; return what it printed, or raise ProgramError with what it said."""
        return programs.run(
            programs.path_of("kubectl"),
            *self._options(),
            *arguments,
            given=given,
            check=True,
            timeout_s=timeout_s,
            name=f"kubectl {' '.join(arguments)}",
        )

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

    def _options(self) -> Iterator[str]:
        if self.kubeconfig:
            yield f"--kubeconfig={self.kubeconfig}"
        if self.namespace:
            yield f"--namespace={self.namespace}"
        if self.request_timeout_s:
            yield f"--request-timeout={self.request_timeout_s:g}s"
