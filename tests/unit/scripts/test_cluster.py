"""What a local cluster is made on, and what is refused before anything is built."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from scripts.cluster import __main__ as command
from scripts.cluster import addons, kind, namespaces, policies
from scripts.cluster import layout as at
from scripts.cluster.layout import Layout
from scripts.platform.processes import Child, spawn

FAKE_KIND = """\
#!{python}
import json, os, sys
given = "" if sys.stdin.isatty() else sys.stdin.read()
with open({log!r}, "a") as log:
    log.write(json.dumps([sys.argv[1:], given]) + "\\n")
if sys.argv[1:] == ["get", "clusters"]:
    print(os.environ.get("CLUSTERS", ""))
"""


@pytest.fixture
def calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], list[tuple[list[str], str]]]:
    """Put a `kind` on PATH that does nothing; return what it was called with, and given."""
    log, program = tmp_path / "calls", tmp_path / "bin" / "kind"
    program.parent.mkdir()
    program.write_text(FAKE_KIND.format(python=sys.executable, log=str(log)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return lambda: [tuple(json.loads(line)) for line in log.read_text().splitlines()]


def test_kind_gets_two_workers_and_every_image(
    tmp_path: Path, calls: Callable[[], list[tuple[list[str], str]]]
) -> None:
    layout, archives = Layout(tmp_path / "cluster"), [tmp_path / "a.tar", tmp_path / "b.tar"]
    kind.start(layout, archives)
    asked, created, *loaded = calls()
    assert asked[0] == ["get", "clusters"]
    assert created[0][:3] == ["create", "cluster", "--name=coinslot"]
    assert f"--kubeconfig={layout.kubeconfig}" in created[0]
    assert [node["role"] for node in json.loads(created[1])["nodes"]].count("worker") == 2
    assert [arguments[2] for arguments, _ in loaded] == [str(each) for each in archives]


def test_a_cluster_of_kind_that_is_there_is_taken(
    tmp_path: Path,
    calls: Callable[[], list[tuple[list[str], str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CLUSTERS", "other\ncoinslot")
    kind.start(Layout(tmp_path), [])
    assert [arguments[0] for arguments, _ in calls()] == ["get", "export"]


def test_a_machine_that_cannot_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert command.main(["needs", "--on", "nodes"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "cluster: nodes in namespaces need root; with Docker and kind none of it is needed"
    )


def test_each_kind_of_cluster_has_its_own_folder() -> None:
    folders = {command._place(on).folder for on in ("nodes", "kind", "context:a", "context:b")}
    assert len(folders) == 4


def test_a_second_command_is_refused_while_the_first_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "FOLDER", tmp_path / "cluster")
    with command._alone(Layout(tmp_path / "cluster")):
        assert command.main(["down", "--on", "nodes"]) == 2
    assert "another command holds" in capsys.readouterr().err


@pytest.mark.parametrize("manifest", sorted(addons.MANIFESTS.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_word_of_a_manifest_is_filled_in(manifest: Path) -> None:
    known = {"IMAGE": "i", "DNS_SERVICE": "d", "AUTHORITY": "a", **addons.VERIFIED}
    text = addons._filled(manifest.stem, known)
    assert not [word for word in known if word in text]


def test_the_nodes_addresses_are_apart() -> None:
    ranges = [IPv4Network(at.pod_range(node)) for node in at.NODES]
    assert not ranges[0].overlaps(ranges[1])
    assert all(each.subnet_of(IPv4Network(at.PODS)) for each in ranges)


def test_a_part_is_another_process_once_its_number_is_used_again(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    child: Child = spawn("sleep", ["sleep", "60"], log=tmp_path / "log")
    try:
        record = {"pid": child.pid, "born": 1.0}
        layout.record(at.CONTROL).write_text(json.dumps(record))
        assert namespaces.running(layout, at.CONTROL) is None
    finally:
        child.kill()
    with pytest.raises(namespaces.NamespaceError, match="control has ended"):
        namespaces.check(layout, at.CONTROL)


def test_what_a_kernel_refuses_leaves_the_table_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = subprocess.CompletedProcess(("nft",), 1, "", "syntax error")
    monkeypatch.setattr(subprocess, "run", lambda *_args, **_options: refused)
    assert not policies._apply("table ip nothing")
