"""Write every generated file that needs no engine: alert rules, dashboards, reference pages.

    python -m scripts.generated --out .

All in one process, because they are made from the same catalog and importing it takes longest.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import alerts.generate
import dashboards.__main__
from scripts import console, reference

WRITERS: Final[Mapping[str, Callable[[Path], object]]] = {
    "alerts/generated": alerts.generate.write,
    "dashboards/generated": dashboards.__main__.write,
    "docs/reference": reference.write,
}
"""By folder, as seen from the repository's root."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = console.parser("scripts.generated", __doc__)
    parser.add_argument("--out", type=Path, required=True, help="stands for the repository's root")
    root: Path = parser.parse_args(arguments).out
    for folder, write in WRITERS.items():
        write(root / folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
