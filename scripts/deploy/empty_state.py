"""The state of a stack without resources, for a backend that is thrown away.

As `pulumi stack init` writes it, but without a start of the engine and without a key: the first
operation makes one, and the engine adds the rest.
"""

import json
from pathlib import Path

from infra.labels import PROJECT


def write(backend: Path, stack: str) -> None:
    """Make the backend's folder, if it is new, hold the stack `stack`."""
    stacks = backend / ".pulumi" / "stacks" / PROJECT
    stacks.mkdir(parents=True, exist_ok=True)
    (backend / ".pulumi" / "meta.yaml").write_text("version: 1\n", encoding="utf-8")
    checkpoint = {"stack": f"organization/{PROJECT}/{stack}"}
    text = json.dumps({"version": 3, "checkpoint": checkpoint})
    (stacks / f"{stack}.json").write_text(text, encoding="utf-8")
