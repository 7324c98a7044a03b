"""Commands of this repository; run them with `python -m scripts.<name>`."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
