"""Pictures of the dashboards that are shipped; those that the docs show."""

import json
import re
import struct
import warnings
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from dashboards import documents
from scripts.pictures import __main__ as command
from scripts.pictures import boards, png
from scripts.pictures.answers import Line, Shown
from scripts.pictures.boards import ROW, Board, Panel
from scripts.pictures.canvas import ROW_ID, TITLE_ID, WIDTH
from scripts.pictures.drawing import KINDS, draw
from tests.unit.scripts.pictures.made_up import SPAN, board, line, panel, words

BOARDS = {uid: boards.read(text) for uid, text in documents().items()}
GUIDE = command.ROOT / "docs" / "operate" / "monitoring.md"
SHOWN = re.compile(r"!\[[^\]]+\]\(\.\./pictures/([a-z-]+)\.png\)")
MOST_BYTES = 250_000


def some(one: Panel) -> tuple[Line, ...]:
    """Return an answer as this kind of panel gets it."""
    if one.kind == "heatmap":
        return tuple(line(le, n, labels={"le": le}) for n, le in enumerate(("1", "5", "+Inf"), 1))
    return (line("a", 0.2, 0.4, labels={"pod": "a"}), line("b", 0.3, labels={"pod": "b"}))


def full(one: Board) -> Shown:
    """Return a dashboard of which every panel has data."""
    return Shown(one, SPAN, {each.number: some(each) for each in one.panels if each.kind != ROW})


@pytest.mark.parametrize("uid", BOARDS)
def test_every_panel_is_drawn_once_at_its_place(uid: str) -> None:
    one = BOARDS[uid]
    panels = [each for each in one.panels if each.kind != ROW]
    figure = draw(full(one))
    assert words(figure, TITLE_ID) == [each.title for each in panels]
    assert words(figure, ROW_ID) == [f"▾ {each.title}" for each in one.panels if each.kind == ROW]
    labels = Counter(axes.get_label() for axes in figure.axes)
    assert {each.title: labels[each.title] for each in panels} == {each.title: 1 for each in panels}
    places = [axes.get_position() for axes in figure.axes]
    assert all(0 <= at.x0 < at.x1 <= 1 and 0 <= at.y0 < at.y1 <= 1 for at in places)
    assert not any(text.get_text() == "No data" for axes in figure.axes for text in axes.texts)


def test_every_kind_of_panel_that_is_used_can_be_drawn() -> None:
    used = {each.kind for one in BOARDS.values() for each in one.panels}
    assert used <= {ROW, *KINDS}


def test_panels_stand_where_grafana_has_them() -> None:
    raw = json.loads(documents()["coinslot-overview"])["panels"]
    for given, read in zip(raw, BOARDS["coinslot-overview"].panels, strict=True):
        place = read.place
        assert given["gridPos"] == {"x": place.x, "y": place.y, "w": place.w, "h": place.h}


def test_no_title_is_cut_off() -> None:
    cut = [
        title
        for one in BOARDS.values()
        for title in words(draw(Shown(one, SPAN, {p.number: () for p in one.panels})), TITLE_ID)
        if title.endswith("…")
    ]
    assert cut == []


def test_the_same_data_gives_the_same_bytes(tmp_path: Path) -> None:
    one = BOARDS["coinslot-amounts"]
    for name in ("first", "second"):
        png.write(draw(full(one)), tmp_path / name, one.digest)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_a_picture_is_small_and_says_what_it_shows(tmp_path: Path) -> None:
    one = BOARDS["coinslot-amounts"]
    path = tmp_path / "new" / "picture.png"
    size = png.write(draw(full(one)), path, one.digest)
    assert size == path.stat().st_size < MOST_BYTES
    assert png.digest(path) == one.digest
    with Image.open(path) as picture:
        assert picture.mode == "P"
        assert picture.width == WIDTH
        assert set(picture.info) == {png.DIGEST}


def test_a_picture_of_somebody_else_says_nothing(tmp_path: Path) -> None:
    Image.new("P", (1, 1)).save(tmp_path / "other.png")
    assert png.digest(tmp_path / "other.png") == ""


def test_what_is_missing_or_has_changed_is_stale(tmp_path: Path) -> None:
    fresh, changed, gone = (
        board(panel("stat"), uid=uid, digest=uid) for uid in ("fresh", "changed", "gone")
    )
    for one, digest in ((fresh, "fresh"), (changed, "before")):
        png.write(draw(full(one)), tmp_path / f"{one.uid}.png", digest)
    assert command.stale([fresh, changed, gone], tmp_path) == [
        "changed: it has changed since its picture",
        "gone: no picture",
    ]


def test_a_changed_document_has_another_digest() -> None:
    text = documents()["coinslot-money"]
    assert boards.read(text).digest == BOARDS["coinslot-money"].digest
    assert boards.read(text.replace("rate", "irate", 1)).digest != BOARDS["coinslot-money"].digest


def test_the_shipped_dashboards_are_those_that_are_drawn() -> None:
    assert {one.uid: one.digest for one in boards.shipped()} == {
        uid: one.digest for uid, one in BOARDS.items()
    }


def test_the_guide_shows_a_picture_of_each_dashboard_and_no_other() -> None:
    shown = SHOWN.findall(GUIDE.read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(BOARDS), "docs/operate/monitoring.md shows other dashboards"
    there = {path.stem for path in command.FOLDER.iterdir()}
    assert there == set(BOARDS), "run `make pictures`; remove what is no dashboard any more"


@pytest.mark.parametrize("uid", BOARDS)
def test_a_shown_picture_is_one_of_ours_and_not_large(uid: str) -> None:
    path = command.picture(command.FOLDER, uid)
    assert path.stat().st_size <= MOST_BYTES
    assert re.fullmatch(r"[0-9a-f]{64}", png.digest(path))
    assert struct.unpack(">I", path.read_bytes()[16:20]) == (WIDTH,)


def test_a_picture_of_what_a_dashboard_was_before_is_told() -> None:
    """A warning: new pictures take minutes, and a mended expression shall not wait for them."""
    for words_of in command.stale(list(BOARDS.values()), command.FOLDER):
        warnings.warn(f"{words_of}; remedy: {command.REMEDY}", stacklevel=1)
