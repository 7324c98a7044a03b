"""The provider that renders beside the official provider: same files, same states."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from infra.render_provider.objects import FIELD_MANAGER_KEY
from scripts.deploy.engine import Engine
from scripts.render import files_below
from tests.infra import awkward_objects
from tests.infra.program import ROOT
from tests.support.provider import EXECUTABLE

VERSION = metadata.version("pulumi-kubernetes")
INSTALLED = f"resource-kubernetes-v{VERSION}"
STACK = "local"  # it has a Secret, too
RANDOM = {FIELD_MANAGER_KEY, "ciphertext", "created", "modified", "dependencies", "provider"}

pytestmark = pytest.mark.timeout(300)  # nine runs of a few seconds each, on a busy machine

Use = Callable[[str, str], Engine]


@pytest.fixture(scope="module")
def plugins() -> dict[str, Path]:
    """Return both executables; `tools/bootstrap kubernetes-provider` gets the official one."""
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    official = home / "plugins" / INSTALLED / EXECUTABLE.name
    assert official.is_file(), f"no {official}: run tools/bootstrap kubernetes-provider"
    return {"theirs": official.resolve(), "ours": EXECUTABLE}


@pytest.fixture
def use(plugins: dict[str, Path], tmp_path: Path) -> Iterator[Use]:
    """Give engines: of a plugin, on the state and the folder of a name."""
    with (tmp_path / "log").open("w") as log:

        def engine(plugin: str, name: str) -> Engine:
            # A Pulumi home of its own, in which the one plugin is the installed one.
            folder = tmp_path / f"home-{plugin}" / "plugins" / INSTALLED
            if not folder.exists():
                folder.mkdir(parents=True)
                (folder / EXECUTABLE.name).symlink_to(plugins[plugin])
            environ = {
                "PULUMI_HOME": str(tmp_path / f"home-{plugin}"),
                "PULUMI_IGNORE_AMBIENT_PLUGINS": "true",
            }
            return Engine(
                backend=tmp_path / name / "state",
                render_dir=tmp_path / name / "out",
                output=log,
                environ={**os.environ, **environ},
            )

        yield engine


OTHER = {"theirs": "ours", "ours": "theirs"}


def test_either_takes_over_from_the_other(use: Use, tmp_path: Path) -> None:
    equal_and_unchanged(use, tmp_path)
    for name, plugin in OTHER.items():
        assert use(plugin, name).run("preview", STACK).unchanged

    newer = tmp_path / f"Pulumi.{STACK}.yaml"
    text = (ROOT / newer.name).read_text()
    newer.write_text(text.replace("tag: 0.1.0", "tag: 0.2.0"))
    for name, plugin in OTHER.items():
        done = replace(use(plugin, name), config_file=newer).run("up", STACK)
        assert done.changes.get("update"), done.changes
    assert rendered(tmp_path / "ours") == rendered(tmp_path / "theirs")


def test_awkward_objects_are_rendered_alike(use: Use, tmp_path: Path) -> None:
    root = tmp_path / "program"
    root.mkdir()
    (root / "Pulumi.yaml").write_text("{name: coinslot, runtime: python}")
    (root / f"Pulumi.{STACK}.yaml").write_text("config:\n  coinslot:target: render\n")
    (root / "__main__.py").write_text(Path(awkward_objects.__file__).read_text())
    (root / "infra").symlink_to(ROOT / "infra")

    equal_and_unchanged(lambda *names: replace(use(*names), root=root), tmp_path)
    files = rendered(tmp_path / "ours")
    assert len(files) == len(awkward_objects.OBJECTS)
    assert [name for name in files if "0-crd" in name and "toys" not in name]
    assert [name for name in files if "1-manifest/toys.dev_v1-customresourcedefinition" in name]


def equal_and_unchanged(use: Use, tmp_path: Path) -> None:
    """Let each render into a place of its own, compare, and let the other look after it."""
    states: dict[str, Any] = {}
    for name in OTHER:
        use(name, name).run("up", STACK)
        states[name] = resources(use(name, name).export(STACK), tmp_path / name)

    assert rendered(tmp_path / "ours") == rendered(tmp_path / "theirs")
    assert states["ours"] == states["theirs"]
    for name, plugin in OTHER.items():
        assert use(plugin, name).run("refresh", STACK).unchanged
        assert use(plugin, name).run("up", STACK).unchanged


def rendered(folder: Path) -> dict[str, str]:
    return files_below(folder / "out", [STACK])


def resources(state: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a state's resources by URN, without what differs between two runs of one provider."""
    found = {}
    for resource in state["deployment"]["resources"]:
        is_provider = resource["type"] == "pulumi:providers:kubernetes"
        left_out = RANDOM | ({"id"} if is_provider else set())
        found[resource["urn"]] = _without(left_out, resource, folder)
    return found


def _without(keys: set[str], value: Any, folder: Path) -> Any:
    if isinstance(value, dict):
        return {k: _without(keys, v, folder) for k, v in value.items() if k not in keys}
    if isinstance(value, list):
        return [_without(keys, item, folder) for item in value]
    return value.replace(str(folder), "<folder>") if isinstance(value, str) else value
