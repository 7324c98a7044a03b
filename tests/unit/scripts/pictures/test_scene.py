"""What goes wrong while the pictures are taken, and that it ends."""

import inspect
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

from scripts.pictures.scene import NEXT_VERSION, SCENES, play
from simulator.client import Control
from simulator.faults import Fault, Faults
from simulator.records import Records
from tests.live.stack import Live


class Strings:
    """Takes faults as the simulator does, and refuses those that it would refuse."""

    def __init__(self) -> None:
        self.faults = Faults(Records())
        self.most = 0

    async def fault(self, target: str, kind: str, **options: Any) -> None:
        inspect.signature(Control.fault).bind(self, target, kind, **options)
        self.faults.add(Fault(target=target, kind=kind, **options))  # type: ignore[arg-type]
        self.most = max(self.most, len(self.faults.active))

    async def clear_faults(self) -> None:
        self.faults.active.clear()


async def test_every_scene_is_told_and_in_the_end_all_is_well() -> None:
    strings, spawned, told = Strings(), list[tuple[Any, ...]](), list[str]()
    live = SimpleNamespace(
        control=strings,
        merchants=SimpleNamespace(answers={}),
        spawn=lambda *given: spawned.append(given),
        discover=lambda: spawned.append(("discover",)),
    )
    await play(cast("Live", live), 0.0, told.append)
    assert told == [scene.words for scene in SCENES]
    assert strings.most == 3
    assert strings.faults.active == []
    assert spawned == [("second", "api", {"VERSION": NEXT_VERSION}), ("discover",)]


def test_scenes_follow_each_other_and_leave_time_to_heal() -> None:
    shares = [scene.share for scene in SCENES]
    assert shares[0] == 0
    assert all(earlier < later for earlier, later in pairwise(shares))
    assert shares[-1] <= 0.8
