"""A stack that an engine has left behind is freed, by the real engine."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.deploy import unlock
from scripts.deploy.engine import Engine, EngineFailedError
from scripts.deploy.unlock import UnlockError
from tests.infra.tiny import tiny_root

STACK = "local"
PROGRAM = """\
import pulumi
import pulumi_kubernetes as k8s

provider = k8s.Provider("kubernetes", render_yaml_to_directory="{folder}")
for name in ("first", "second"):
    k8s.core.v1.ConfigMap(
        name,
        metadata={{"name": name, "namespace": "default"}},
        data={{"key": "value"}},
        opts=pulumi.ResourceOptions(provider=provider),
    )
"""
NOBODY = 2**22 + 1  # above any process's number
Document = dict[str, Any]

pytestmark = pytest.mark.timeout(300)  # a few runs of the engine, on a busy machine


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Give an engine that has deployed two ConfigMaps, as files."""
    root = tiny_root(tmp_path / "root", PROGRAM.format(folder=tmp_path / "out"))
    with (tmp_path / "log").open("w") as log:
        made = Engine(backend=tmp_path / "state", output=log, root=root)
        made.run("up", STACK)
        yield made


def rendered(tmp_path: Path) -> list[str]:
    return sorted(path.stem.rpartition("-")[2] for path in (tmp_path / "out").rglob("*.yaml"))


def edit(tmp_path: Path, change: Callable[[Document], None]) -> None:
    """Change the state on the disk, as an engine that dies leaves it."""
    (file,) = (tmp_path / "state").rglob(f"stacks/**/{STACK}.json")
    document = json.loads(file.read_text())
    change(document["checkpoint"]["latest"])
    file.write_text(json.dumps(document))


def second(latest: Document) -> Document:
    found: Document = next(e for e in latest["resources"] if e["urn"].endswith("::second"))
    return found


def lock(tmp_path: Path, *, host: str, pid: int) -> Path:
    folder = tmp_path / "state" / ".pulumi" / "locks" / "organization" / "coinslot" / STACK
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "pid": pid,
        "username": "ada",
        "hostname": host,
        "timestamp": "2026-01-02T03:04:05Z",
    }
    file = folder / "0b1c.json"
    file.write_text(json.dumps(content))
    return file


def test_a_lock_of_an_engine_that_is_gone_is_removed(engine: Engine, tmp_path: Path) -> None:
    file = lock(tmp_path, host=socket.gethostname(), pid=NOBODY)
    with pytest.raises(EngineFailedError, match="that nobody needs: make unlock STACK=local"):
        engine.run("up", STACK)

    (done,) = unlock.free(engine, STACK)
    assert done == (
        f"removed the lock of ada's engine of 2026-01-02T03:04:05Z (pid {NOBODY} on "
        f"{socket.gethostname()}), which is gone"
    )
    assert not file.exists()
    assert engine.run("up", STACK).unchanged
    assert unlock.free(engine, STACK) == []


def test_a_lock_of_another_machine_is_left_to_who_knows(engine: Engine, tmp_path: Path) -> None:
    file = lock(tmp_path, host="elsewhere", pid=1)
    with pytest.raises(UnlockError, match=r"only elsewhere knows .*pulumi cancel --yes --stack"):
        unlock.free(engine, STACK)
    assert file.exists()


def test_operations_that_are_pending_for_ever_are_forgotten(engine: Engine, tmp_path: Path) -> None:
    def cut_off(latest: Document) -> None:
        resource = second(latest)
        latest["resources"].remove(resource)
        begun = {key: value for key, value in resource.items() if key not in ("id", "outputs")}
        latest["pending_operations"] = [{"resource": begun, "type": "creating"}]

    edit(tmp_path, cut_off)
    (done,) = unlock.free(engine, STACK)
    assert done.startswith("forgot that ConfigMap second was creating when the engine ended")
    assert not engine.export(STACK)["deployment"].get("pending_operations")
    assert engine.run("up", STACK).changes["create"] == 1
    assert rendered(tmp_path) == ["first", "second"]


@pytest.mark.parametrize("freed", [True, False])
def test_a_deletion_that_would_hit_a_living_object_is_forgotten(
    engine: Engine, tmp_path: Path, *, freed: bool
) -> None:
    """Without it the next update removes what is in use, which shows that it is needed."""

    def replaced_by_one_of_the_same_name(latest: Document) -> None:
        latest["resources"].append(second(latest) | {"delete": True})

    edit(tmp_path, replaced_by_one_of_the_same_name)
    if freed:
        assert unlock.free(engine, STACK) == [
            "forgot the deletion of a former ConfigMap second: it would remove the present one"
        ]
    engine.run("up", STACK)
    assert rendered(tmp_path) == (["first", "second"] if freed else ["first"])


def test_a_deletion_of_what_nobody_uses_stays_to_come(engine: Engine, tmp_path: Path) -> None:
    def renamed(latest: Document) -> None:
        old = second(latest)
        latest["resources"].append(old | {"delete": True, "id": "default/former"})

    edit(tmp_path, renamed)
    assert unlock.free(engine, STACK) == []
    resources = engine.export(STACK)["deployment"]["resources"]
    assert [each["id"] for each in resources if each.get("delete")] == ["default/former"]


class Raced(Engine):
    """An engine beside which another one finishes its work, when it is asked for the state."""

    def export(self, stack: str) -> Any:
        document = super().export(stack)
        other = Engine(backend=self.backend, output=self.output, root=self.root)
        other.run("destroy", stack)
        return document


def test_what_another_engine_did_meanwhile_is_not_undone(engine: Engine) -> None:
    raced = Raced(backend=engine.backend, output=engine.output, root=engine.root)
    with pytest.raises(UnlockError, match="somebody has just worked on the stack"):
        unlock.free(raced, STACK)
    assert not engine.export(STACK)["deployment"].get("resources")


def test_looking_for_a_lock_leaves_a_free_stack_as_it_is(engine: Engine, tmp_path: Path) -> None:
    before = engine.export(STACK)
    engine.look_for_lock(STACK)
    assert engine.export(STACK) == before
    assert list((tmp_path / "state").rglob("locks/**/*.json")) == []
    assert len(engine.history(STACK)) == 1


def test_a_stack_in_use_is_seen_before_anything_is_put_back(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock(tmp_path, host="elsewhere", pid=1)
    monkeypatch.setattr(Engine, "take", None)
    with pytest.raises(UnlockError, match="only elsewhere knows"):
        unlock.free(engine, STACK)
