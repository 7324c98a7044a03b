"""What a watcher asks a cluster for, and tells; kubectl is a script with recorded answers."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from scripts import programs
from scripts.deploy import rollout
from scripts.deploy.rollout import Limits
from scripts.deploy.watch import RolloutError, Watch
from tests.support.rollouts import API, Object, crashed, event, pod, release, waiting

KUBECTL = """\
#!{python}
import pathlib, sys
words = [word for word in sys.argv[1:] if not word.startswith("-")]
answer = pathlib.Path({folder!r}) / ("logs" if words[0] == "logs" else words[1])
if not answer.exists():
    sys.exit("the server is currently unable to handle the request")
sys.stdout.buffer.write(answer.read_bytes())
"""
APPLYING = {
    "resourcePreEvent": {
        "metadata": {
            "op": "update",
            "new": {"inputs": {"kind": API[0], "metadata": {"name": API[1]}}},
        }
    }
}

Answer = Callable[[str, bytes], None]


@pytest.fixture
def answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Give a function that sets what kubectl prints, by the kinds that it is asked for."""
    monkeypatch.setattr(programs, "BINARIES", tmp_path)
    program = tmp_path / "kubectl"
    program.write_text(KUBECTL.format(python=sys.executable, folder=str(tmp_path)))
    program.chmod(0o755)

    def be(name: str, printed: bytes) -> None:
        (tmp_path / name).write_bytes(printed)

    be(rollout.KINDS, listed([]))
    return be


def listed(items: Sequence[Any]) -> bytes:
    return json.dumps({"items": items}).encode()


def over(answer: Answer, objects: Sequence[Object]) -> RolloutError:
    """Return what a release is given up for that makes these objects."""
    watch = Watch("default", "up")
    answer(rollout.KINDS, listed(objects))
    with pytest.raises(RolloutError) as failed:
        watch.look([APPLYING])
    return failed.value


def test_a_crash_s_log_is_told_whatever_bytes_are_in_it(
    answer: Answer, capsys: pytest.CaptureFixture[str]
) -> None:
    answer("events", listed([]))
    answer("logs", b"dump: \xff\xfe\nPanic\n")
    assert over(answer, release(crashed(3), "Running")).trouble.kind == "crash"
    assert "up: dump: \ufffd\ufffd\nup: Panic\n" in capsys.readouterr().err


@pytest.mark.parametrize("events", [b"", b"{}", b'{"items": null}', b'{"items": ["none"]}'])
def test_a_trouble_is_told_even_if_nothing_more_is_known(
    answer: Answer, capsys: pytest.CaptureFixture[str], events: bytes
) -> None:
    answer("events", events)
    failed = over(answer, release(crashed(3), "Running"))
    assert failed.trouble.message == "exit code 1, Error, 3 restarts"
    assert "up: no more is known: " in capsys.readouterr().err


def test_an_image_that_is_pulled_once_more_is_waited_for(
    answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(rollout.LIMITS, "image", Limits(0, 0))
    watch = Watch("default", "up")
    answer(rollout.KINDS, listed(release(waiting("ImagePullBackOff"))))
    answer("events", listed([event("Failed", 1), event("Pulling", 2)]))
    watch.look([APPLYING])
    answer("events", listed([event("Pulling", 2), event("BackOff", 3)]))
    with pytest.raises(RolloutError, match="ImagePullBackOff"):
        watch.look([])


def test_an_image_ends_a_rollout_if_no_pull_can_be_seen(
    answer: Answer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(rollout.LIMITS, "image", Limits(0, 0))
    assert over(answer, release(waiting("ErrImagePull"))).trouble.reason == "ErrImagePull"
    assert "up: no pull can be seen: kubectl get events" in capsys.readouterr().err


def test_another_pod_s_trouble_ends_a_rollout_beside_a_pull(
    answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(rollout.LIMITS, "image", Limits(0, 0))
    top, made, broken = release(crashed(3), "Running")
    pulls = pod("api-2", made, waiting("ImagePullBackOff"))
    answer("events", listed([event("Pulling", 2)]))
    answer("logs", b"")
    assert over(answer, [top, made, pulls, broken]).trouble.pod == "api-1"
