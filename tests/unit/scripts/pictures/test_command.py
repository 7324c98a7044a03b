"""The command line of `make pictures`."""

from pathlib import Path

import pytest

from scripts.embedded import free_port
from scripts.pictures import __main__ as command


@pytest.mark.parametrize(
    "arguments",
    [
        ["--prometheus", "localhost:9090"],
        ["--minutes", "0"],
        ["--minutes", "soon"],
        ["--minutes", "99999999"],
        ["--only"],
    ],
)
def test_wrong_arguments_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_a_dashboard_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    arguments = ["--prometheus", url, "--only", "coinslot-moony", "--out", str(tmp_path)]
    assert command.main(arguments) == 1
    assert capsys.readouterr().err == "pictures: no dashboard is called coinslot-moony\n"


def test_a_prometheus_that_is_not_there_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    arguments = ["--prometheus", f"http://127.0.0.1:{port}", "--out", str(tmp_path)]
    assert command.main(arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith("pictures: ")
    assert str(port) in said
    assert said.count("\n") == 1


def test_check_tells_what_is_missing_and_how_to_mend_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--check", "--out", str(tmp_path)]) == command.STALE
    assert "coinslot-overview: no picture; remedy: make pictures" in capsys.readouterr().out


def test_check_has_nothing_to_tell_of_pictures_of_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "shipped", list)
    assert command.main(["--check", "--out", str(tmp_path)]) == 0
