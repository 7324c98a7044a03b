"""Small PNG files that say what they show."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from scripts.pictures import canvas
from scripts.pictures.heatmaps import COLORS as SCHEME

DIGEST: Final = "coinslot-dashboard"
"""The name of the text chunk with the digest of the dashboard's document."""
WHOLE: Final = 255
PALETTE_SIZE: Final = 256
GREYS: Final = 32
HEATS: Final = 32
STRENGTHS: Final = (1.0, 0.85, 0.7, 0.55, 0.42, 0.3, 0.22, 0.15, 0.06)
"""Each ink on white: as a line, at the line's soft edges, as an area, as a wash."""

Color = tuple[float, float, float]


def write(figure: Figure, path: Path, digest: str) -> int:
    """Write a figure that `drawing.draw` has made; return the file's size in bytes.

    The same figure gives the same bytes: there is no time and no version in it. All pictures have
    one palette, that of what is drawn: one made from the pixels would lose the thin lines.
    """
    drawn = figure.canvas
    if not isinstance(drawn, FigureCanvasAgg):
        raise TypeError(f"a figure on a {type(drawn).__name__} has no pixels")
    size = drawn.get_width_height()
    whole = Image.frombytes("RGBA", size, bytes(drawn.buffer_rgba())).convert("RGB")
    small = whole.quantize(palette=_palette(), dither=Image.Dither.NONE)
    said = PngInfo()
    said.add_text(DIGEST, digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    small.save(path, "PNG", optimize=True, pnginfo=said)
    return path.stat().st_size


def digest(path: Path) -> str:
    """Return the digest of the document that a picture shows; empty if it says none."""
    with Image.open(path) as picture:
        return str(picture.info.get(DIGEST, ""))


def _palette() -> Image.Image:
    colors = list(dict.fromkeys(chain(_grounds(), _inks(), _greys(), _heats())))[:PALETTE_SIZE]
    held = Image.new("P", (1, 1))
    held.putpalette([round(part * WHOLE) for color in colors for part in color])
    return held


def _grounds() -> Iterator[Color]:
    for name in (canvas.PAPER, canvas.PANEL, canvas.BORDER, canvas.GRID, canvas.INK, canvas.PALE):
        yield to_rgb(name)


def _inks() -> Iterator[Color]:
    """Yield each ink at each strength: what white paper shows of it."""
    for name in (*canvas.PALETTE, *canvas.COLORS.values()):
        red, green, blue = to_rgb(name)
        for strength in STRENGTHS:
            paper = 1.0 - strength
            yield red * strength + paper, green * strength + paper, blue * strength + paper


def _greys() -> Iterator[Color]:
    for n in range(GREYS):
        yield (n / (GREYS - 1),) * 3


def _heats() -> Iterator[Color]:
    for n in range(HEATS):
        red, green, blue, _ = mpl.colormaps[SCHEME](n / (HEATS - 1))
        yield red, green, blue
