"""A program of a few lines, where what matters is the engine and not what is deployed."""

from pathlib import Path
from typing import Final

PROJECT: Final = "{name: coinslot, runtime: python}"
SETTINGS: Final = "config:\n  coinslot:target: render\n"
EMPTY: Final = "import pulumi\n"


def tiny_root(folder: Path, program: str = EMPTY, stack: str = "local") -> Path:
    """Make a folder that is an engine's root, with a program of its own."""
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text(PROJECT)
    (folder / f"Pulumi.{stack}.yaml").write_text(SETTINGS)
    (folder / "__main__.py").write_text(program)
    return folder
