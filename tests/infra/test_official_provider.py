"""The offline provider against the official plugin, where that is there.

COINSLOT_OFFICIAL_PROVIDER names the plugin's executable; without it the plugin that `pulumi plugin
install` puts into the cache is taken.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from infra.offline_provider.state import FIELD_MANAGER_KEY
from scripts.deploy.engine import Engine
from scripts.render import files_below
from tests.infra.program import ROOT
from tests.support.provider import EXECUTABLE

VERSION = metadata.version("pulumi-kubernetes")
CACHE = Path(os.environ.get("PULUMI_HOME", Path.home() / ".pulumi")) / "plugins"
OFFICIAL = Path(
    os.environ.get("COINSLOT_OFFICIAL_PROVIDER")
    or CACHE / f"resource-kubernetes-v{VERSION}" / EXECUTABLE.name
)
STACK = "local"  # it has a Secret, too
RANDOM = {FIELD_MANAGER_KEY, "ciphertext", "created", "modified", "dependencies", "provider"}

pytestmark = [
    pytest.mark.skipif(
        not OFFICIAL.is_file(), reason=f"no {OFFICIAL}; COINSLOT_OFFICIAL_PROVIDER may name it"
    ),
    pytest.mark.timeout(300),  # nine runs of a few seconds each, on a busy machine
]

Use = Callable[[Path, str], Engine]


@pytest.fixture
def use(tmp_path: Path) -> Iterator[Use]:
    """Give engines: of a plugin, on the state and the folder of a name."""
    with (tmp_path / "log").open("w") as log:

        def engine(plugin: Path, name: str) -> Engine:
            # A Pulumi home of its own, in which the one plugin is the installed one.
            home = tmp_path / plugin.parent.name
            folder = home / "plugins" / f"resource-kubernetes-v{VERSION}"
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / plugin.name).exists():
                (folder / plugin.name).symlink_to(plugin)
            environ = {"PULUMI_HOME": str(home), "PULUMI_IGNORE_AMBIENT_PLUGINS": "true"}
            return Engine(
                backend=tmp_path / name / "state",
                render_dir=tmp_path / name / "out",
                output=log,
                environ={**os.environ, **environ},
            )

        yield engine


def test_either_takes_over_from_the_other(use: Use, tmp_path: Path) -> None:
    names = {"theirs": OFFICIAL, "ours": EXECUTABLE}
    states: dict[str, Any] = {}
    for name, plugin in names.items():
        use(plugin, name).run("up", STACK)
        states[name] = resources(use(plugin, name).export(STACK), tmp_path / name)

    assert rendered(tmp_path / "ours") == rendered(tmp_path / "theirs")
    assert states["ours"] == states["theirs"]
    for name, plugin in (("theirs", EXECUTABLE), ("ours", OFFICIAL)):
        assert use(plugin, name).run("preview", STACK).unchanged
        assert use(plugin, name).run("refresh", STACK).unchanged

    newer = tmp_path / f"Pulumi.{STACK}.yaml"
    text = (ROOT / newer.name).read_text()
    newer.write_text(text.replace("tag: 0.1.0", "tag: 0.2.0"))
    for name, plugin in (("theirs", EXECUTABLE), ("ours", OFFICIAL)):
        done = replace(use(plugin, name), config_file=newer).run("up", STACK)
        assert done.changes.get("update"), done.changes
    assert rendered(tmp_path / "ours") == rendered(tmp_path / "theirs")


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
