"""How kubectl is called, by a script that prints its arguments."""

from pathlib import Path

import pytest

from scripts import programs
from scripts.kubectl import Kubectl
from scripts.programs import ProgramError


@pytest.fixture(autouse=True)
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(programs, "BINARIES", tmp_path)
    program = tmp_path / "kubectl"
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("kubectl", "options"),
    [
        (Kubectl(), ""),
        (Kubectl(Path("/mine")), "--kubeconfig=/mine "),
        (
            Kubectl(namespace="shop", request_timeout_s=5),
            "--namespace=shop --request-timeout=5s ",
        ),
    ],
)
def test_options_that_are_not_given_are_left_to_kubectl(kubectl: Kubectl, options: str) -> None:
    assert kubectl("get", "pods") == f"{options}get pods\n"
    assert " ".join(kubectl.command("get", "pods")[1:]) == f"{options}get pods"


@pytest.mark.parametrize(
    ("script", "timeout_s", "said"),
    [
        ("echo no such pod >&2; exit 1", 30, "^kubectl get pods failed: no such pod$"),
        ("exec sleep 60", 0.1, "^kubectl get pods did not end within 0.1 s$"),
    ],
)
def test_an_error_names_the_call(program: Path, script: str, timeout_s: float, said: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    with pytest.raises(ProgramError, match=said):
        Kubectl()("get", "pods", timeout_s=timeout_s)


def test_a_program_that_can_t_be_started_is_named(program: Path) -> None:
    program.write_text("#!/none\n")
    with pytest.raises(ProgramError, match=r"^kubectl get pods can't be run: .*No such file"):
        Kubectl()("get", "pods")
