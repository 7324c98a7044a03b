"""Homes for engines that keep no logs."""

from pathlib import Path

import pytest

from scripts.deploy import home


@pytest.fixture
def present(tmp_path: Path) -> Path:
    """Give a home as the engine leaves it."""
    folder = tmp_path / "present"
    (folder / "plugins" / "resource-kubernetes").mkdir(parents=True)
    (folder / "logs").mkdir()
    (folder / "logs" / "pulumi.log").write_text("megabytes")
    (folder / "credentials.json").write_text("{}")
    return folder


def test_a_home_without_logs_has_the_plugins_and_no_logins(present: Path, tmp_path: Path) -> None:
    made = home.without_logs(tmp_path / "made", {"PULUMI_HOME": str(present)})

    assert sorted(entry.name for entry in made.iterdir()) == ["logs", "plugins"]
    assert (made / "plugins" / "resource-kubernetes").is_dir()
    assert not (made / "logs").is_dir()
    assert home.without_logs(tmp_path / "made", {"PULUMI_HOME": str(present)}) == made


def test_a_home_like_the_present_one_has_the_logins_too_and_goes(present: Path) -> None:
    with home.like_present({"PULUMI_HOME": str(present)}) as made:
        names = sorted(entry.name for entry in made.iterdir())
        assert names == ["credentials.json", "logs", "plugins"]
        assert (made / "credentials.json").read_text() == "{}"
        assert not (made / "logs").is_dir()

    assert not made.exists()
    assert (present / "credentials.json").is_file()
    assert (present / "plugins" / "resource-kubernetes").is_dir()


def test_whoever_has_no_home_yet_gets_one_without_logs(tmp_path: Path) -> None:
    environ = {"PULUMI_HOME": str(tmp_path / "none")}

    with home.like_present(environ) as made:
        assert [entry.name for entry in made.iterdir()] == ["logs"]
