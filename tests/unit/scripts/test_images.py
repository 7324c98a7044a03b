"""What an image is made of decides whether it is built again."""

import re
from pathlib import Path

import pytest

from scripts import ROOT
from scripts.platform import images

COPIED = re.compile(r"^COPY (?:--chmod=\S+ )?(?!--)(\S+) \S+$", re.MULTILINE)


@pytest.mark.parametrize("name", images.RECIPES)
def test_all_that_a_dockerfile_copies_is_an_input(name: str) -> None:
    recipe = images.RECIPES[name]
    stages, _, _ = (ROOT / recipe.dockerfile).read_text().partition(" AS development\n")
    copied = COPIED.findall(stages)
    assert copied
    inputs = [Path(path) for path in recipe.inputs]
    assert [each for each in copied if not any(map(Path(each).is_relative_to, inputs))] == []


def test_a_digest_changes_with_every_input_and_with_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.py").write_text("a")
    (tmp_path / "Dockerfile").write_text("FROM x")
    paths = [tmp_path / "Dockerfile", tmp_path / "folder"]

    def now(*settings: str) -> str:
        return images.digest(settings, paths)

    seen = [now("A=1"), now("A=2")]
    (tmp_path / "folder" / "a.py").write_text("b")
    seen.append(now("A=1"))
    (tmp_path / "folder" / "a.py").rename(tmp_path / "folder" / "b.py")
    seen.append(now("A=1"))
    (tmp_path / "Dockerfile").write_text("FROM y")
    seen.append(now("A=1"))
    assert len(set(seen)) == len(seen)
    (tmp_path / "folder" / "__pycache__").mkdir()
    (tmp_path / "folder" / "__pycache__" / "b.pyc").write_text("compiled")
    assert now("A=1") == seen[-1]
