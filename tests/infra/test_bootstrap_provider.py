"""Which Kubernetes provider a clone chooses, and what its venv's bin gets."""

import io
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.bootstrap import catalog, components
from scripts.bootstrap.commands import BootstrapError, Commands
from scripts.bootstrap.components import PROVIDER
from scripts.bootstrap.console import Console
from scripts.bootstrap.tools import Place

ROOT = Path(__file__).resolve().parents[2]
VERSION = "4.25.0"


GO = """#!/bin/sh
case "$*" in
*"mod download"*) echo "{\\"Dir\\": \\"$MODULE\\"}";;
*list*) echo .;;
*build*)
    for last in "$@"; do [ "$previous" = -o ] && target=$last; previous=$last; done
    cp "$3/schema.json" "$target";;
esac
"""
EMBEDDED = "cmd/pulumi-resource-kubernetes"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Make a clone with an empty PATH and a network without the plugin's host."""
    root, path = tmp_path / "clone", tmp_path / "path"
    (root / "requirements").mkdir(parents=True)
    (root / "requirements" / "dev.txt").write_text(
        f"pulumi-kubernetes=={VERSION} \\\n    --hash=x\n"
    )
    shutil.copytree(ROOT / "tools", root / "tools")
    path.mkdir()
    for name in ("pulumi", "pulumi-language-python"):
        (path / name).write_text("#!/bin/sh\necho 9.9.9\n")
        (path / name).chmod(0o755)
    (path / "cp").symlink_to(shutil.which("cp") or "/bin/cp")
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi-home"))
    monkeypatch.setattr(components, "PLUGIN_HOST", "https://127.0.0.1")
    return Place(root, tmp_path / "cache", Console(io.StringIO()), Commands(tmp_path / "logs"))


def plugin(tmp_path: Path, version: str) -> Path:
    return tmp_path / "pulumi-home" / "plugins" / f"resource-kubernetes-v{version}" / PROVIDER


def installed(tmp_path: Path, version: str) -> None:
    path = plugin(tmp_path, version)
    path.parent.mkdir(parents=True)
    path.write_text("")


def renders(place: Place) -> bool:
    """Finish as bootstrap does; say whether the engine would find ours."""
    (place.root / ".venv" / "bin").mkdir(parents=True, exist_ok=True)
    components.link_into_venv(place)
    return (place.root / ".venv" / "bin" / PROVIDER).is_symlink()


def test_where_the_official_one_is_not_installed_ours_renders(place: Place) -> None:
    components.tool("pulumi", place)
    assert renders(place)
    assert (place.links / PROVIDER).readlink() == place.root / "infra/render_provider" / PROVIDER


def test_the_official_one_in_the_plugin_cache_wins_and_the_link_goes(
    place: Place, tmp_path: Path
) -> None:
    components.tool("pulumi", place)
    assert renders(place)
    installed(tmp_path, VERSION)
    components.kubernetes_provider(place)
    assert not renders(place)
    assert not (place.links / PROVIDER).is_symlink()


def test_another_version_in_the_plugin_cache_is_not_taken(place: Place, tmp_path: Path) -> None:
    installed(tmp_path, "4.24.0")
    components.tool("pulumi", place)
    assert renders(place)


def test_without_download_and_go_the_sentence_names_both(place: Place) -> None:
    with pytest.raises(BootstrapError, match=r"there is no Go to build it.*get\.pulumi\.com"):
        components.kubernetes_provider(place)


def test_without_a_download_it_is_built_with_go_into_the_plugin_cache(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "module"
    (module / EMBEDDED).mkdir(parents=True)
    (module / EMBEDDED / "schema.json").write_text('{"name": "kubernetes"}')
    (module / EMBEDDED / "terraform-mapping.json").write_text("{}")
    monkeypatch.setenv("MODULE", str(module))
    go = tmp_path / "path" / "go"
    go.write_text(GO)
    go.chmod(0o755)

    components.kubernetes_provider(place)

    built = plugin(tmp_path, VERSION).resolve()
    assert built.is_relative_to(place.cache)
    assert json.loads(built.read_text()) == {"name": "kubernetes", "version": VERSION}
    assert [path.name for path in built.parent.iterdir()] == [PROVIDER]
    assert not renders(place)


def test_build_and_sdk_have_one_version() -> None:
    described = catalog.load(ROOT)[PROVIDER].version
    assert components.locked_version(ROOT, "pulumi-kubernetes") == described == VERSION


def test_an_unlocked_sdk_is_named(place: Place) -> None:
    (place.root / "requirements" / "dev.txt").write_text("pulumi==3.272.0\n")
    with pytest.raises(BootstrapError, match="does not lock pulumi-kubernetes"):
        components.kubernetes_provider(place)


def wrapper(tmp_path: Path, **settings: str) -> dict[str, str]:
    """Run scripts/pulumi over a CLI that prints its environment, through a link as in a venv."""
    root = tmp_path / "my clone"
    (root / "scripts").mkdir(parents=True)
    for script in ("pulumi", "writable_home.sh"):
        (root / "scripts" / script).write_text((ROOT / "scripts" / script).read_text())
    (root / "scripts" / "pulumi").chmod(0o755)
    (root / ".tools" / "bin").mkdir(parents=True)
    (root / ".tools" / "bin" / "pulumi").write_text("#!/bin/sh\nenv\n")
    (root / ".tools" / "bin" / "pulumi").chmod(0o755)
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / ".venv" / "bin" / "pulumi").symlink_to(root / "scripts" / "pulumi")
    done = subprocess.run(
        [root / ".venv" / "bin" / "pulumi"],
        env={"PATH": os.environ["PATH"], **settings},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def test_pulumi_gets_a_backend_in_the_clone_and_a_passphrase_for_it(tmp_path: Path) -> None:
    seen = wrapper(tmp_path)
    state = tmp_path / "my clone" / ".state" / "pulumi"
    assert seen["PULUMI_BACKEND_URL"] == f"file://{state}"
    assert state.is_dir()
    assert seen["PULUMI_CONFIG_PASSPHRASE"]
    assert seen["PULUMI_SKIP_UPDATE_CHECK"] == "true"
    assert seen["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] == "true"
    assert seen["PATH"].startswith(f"{tmp_path / 'my clone' / '.venv' / 'bin'}:")


def test_a_backend_of_your_own_gets_no_passphrase(tmp_path: Path) -> None:
    seen = wrapper(tmp_path, PULUMI_BACKEND_URL="s3://states")
    assert seen["PULUMI_BACKEND_URL"] == "s3://states"
    assert "PULUMI_CONFIG_PASSPHRASE" not in seen


@pytest.mark.parametrize("given", ["", "mine"])
def test_a_passphrase_of_your_own_stays(tmp_path: Path, given: str) -> None:
    assert wrapper(tmp_path, PULUMI_CONFIG_PASSPHRASE=given)["PULUMI_CONFIG_PASSPHRASE"] == given


def test_a_stack_with_settings_gets_its_empty_state_in_a_new_clone(tmp_path: Path) -> None:
    root = tmp_path / "my clone"
    wrapper(tmp_path)
    calls = root / "calls"
    (root / ".tools" / "bin" / "pulumi").write_text(f"#!/bin/sh\necho \"$@\" >> '{calls}'\n")
    (root / "Pulumi.staging.yaml").write_text("config: {}\n")

    def run(*arguments: str) -> list[str]:
        calls.unlink(missing_ok=True)
        subprocess.run(
            [root / "scripts" / "pulumi", *arguments],
            env={"PATH": os.environ["PATH"]},
            check=True,
            timeout=30,
        )
        return calls.read_text().splitlines()

    init = f"--cwd {root} stack init staging --no-select"
    assert run("preview", "-s", "staging") == [init, "preview -s staging"]
    assert run("preview", "--stack=staging") == [init, "preview --stack=staging"]
    assert run("preview", "-s", "stging") == ["preview -s stging"]
    state = root / ".state/pulumi/.pulumi/stacks/coinslot/staging.json"
    state.parent.mkdir(parents=True)
    state.write_text("{}")
    assert run("preview", "--stack", "staging") == ["preview --stack staging"]
