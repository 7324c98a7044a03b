"""Which Kubernetes provider a clone settles for, and what its venv's bin gets."""

import io
import os
import subprocess
from pathlib import Path

import pytest

from scripts._bootstrap import components
from scripts._bootstrap.commands import Commands
from scripts._bootstrap.components import PROVIDER
from scripts._bootstrap.console import Console
from scripts._bootstrap.errors import BootstrapError
from scripts._bootstrap.tools import Place

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Make a clone with an empty PATH and a network without the plugin's host."""
    root = tmp_path / "clone"
    (root / "requirements").mkdir(parents=True)
    (root / "requirements" / "dev.txt").write_text("pulumi-kubernetes==4.34.2 \\\n    --hash=x\n")
    offline = root / "infra" / "offline_provider" / PROVIDER
    offline.parent.mkdir(parents=True)
    offline.write_text("#!/bin/sh\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi-home"))
    monkeypatch.setattr(components, "PLUGIN_HOST", "https://127.0.0.1")
    return Place(root, tmp_path / "cache", Console(io.StringIO()), Commands(tmp_path / "logs"))


def installed(tmp_path: Path, version: str) -> None:
    folder = tmp_path / "pulumi-home" / "plugins" / f"resource-kubernetes-v{version}"
    folder.mkdir(parents=True)
    (folder / PROVIDER).write_text("")


def test_where_the_official_one_cannot_be_had_the_offline_one_is_linked(place: Place) -> None:
    components._provider(place)
    assert (place.links / PROVIDER).readlink() == place.root / "infra/offline_provider" / PROVIDER


def test_the_official_one_in_the_plugin_cache_wins_and_the_link_goes(
    place: Place, tmp_path: Path
) -> None:
    (place.root / ".venv" / "bin").mkdir(parents=True)
    components._provider(place)
    components.link_into_venv(place)
    assert (place.root / ".venv" / "bin" / PROVIDER).exists()
    installed(tmp_path, "4.34.2")
    components._provider(place)
    components.link_into_venv(place)
    assert not (place.links / PROVIDER).is_symlink()
    assert not (place.root / ".venv" / "bin" / PROVIDER).is_symlink()


def test_another_version_in_the_plugin_cache_is_not_taken(place: Place, tmp_path: Path) -> None:
    installed(tmp_path, "4.30.0")
    components._provider(place)
    assert (place.links / PROVIDER).is_symlink()


def test_without_any_provider_the_sentence_names_both(place: Place) -> None:
    (place.root / "infra" / "offline_provider" / PROVIDER).unlink()
    with pytest.raises(
        BootstrapError, match=r"4\.34\.2 is not installed, .*127\.0\.0\.1.* is gone"
    ):
        components._provider(place)


def test_an_unlocked_sdk_is_named(place: Place) -> None:
    (place.root / "requirements" / "dev.txt").write_text("pulumi==3.272.0\n")
    with pytest.raises(BootstrapError, match="does not lock pulumi-kubernetes"):
        components._provider(place)


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
