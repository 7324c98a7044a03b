"""The workflows: checked by tools, and what they run is what runs here."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TOOL_TIMEOUT_S = 60
SETUP = ROOT / ".github" / "actions" / "setup" / "action.yml"
TARGET = re.compile(r"^([a-z-]+):[^#\n]*## (.*)", re.MULTILINE)
PINNED = re.compile(r"^\s*(?:- )?uses: \S+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
ACTIONLINT = ROOT / ".tools" / "bin" / "actionlint"
ZIZMOR = ROOT / ".venv" / "bin" / "zizmor"
BROKEN = """
on: pull_request_target
jobs:
  a:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v4
        with:
          ref: ${{ github.event.pull_request.head.sha }}
      - run: echo ${{ github.event.pull_request.title }}
"""


def check(*command: str | Path) -> tuple[int, str]:
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TOOL_TIMEOUT_S,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def read(path: Path) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(path.read_text())
    return found


def jobs() -> Iterator[tuple[str, dict[Any, Any], dict[str, Any]]]:
    """Yield (name, workflow, job)."""
    for path in WORKFLOWS:
        workflow = read(path)
        for name, job in workflow["jobs"].items():
            yield f"{path.stem}.{name}", workflow, job


def commands() -> Iterator[tuple[str, str]]:
    """Yield (job, what one of its steps runs)."""
    for name, _, job in jobs():
        for step in job.get("steps", ()):
            if "run" in step:
                yield name, step["run"]


def triggers(workflow: dict[Any, Any]) -> set[str]:
    # YAML 1.1 takes a plain `on` for true.
    return set(workflow[True])


def test_there_is_a_workflow_for_each_purpose() -> None:
    assert {path.stem for path in WORKFLOWS} == {
        *("audit", "ci", "deploy", "drift", "image", "preview"),
    }


def test_actionlint_has_nothing_to_say() -> None:
    assert check(ACTIONLINT, "-shellcheck=", "-pyflakes=", *WORKFLOWS) == (0, "")


def test_zizmor_has_nothing_to_say() -> None:
    code, message = check(ZIZMOR, "--offline", "--no-progress", ROOT / ".github")
    assert code == 0, message


def test_both_tools_see_a_bad_workflow(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yml"
    bad.write_text(BROKEN)
    code, message = check(ACTIONLINT, "-shellcheck=", "-pyflakes=", bad)
    assert code == 1
    assert '"github.event.pull_request.title" is potentially untrusted' in message
    code, message = check(ZIZMOR, "--offline", "--no-progress", bad)
    assert code != 0
    for finding in ("template-injection", "dangerous-triggers", "unpinned-uses"):
        assert finding in message


@pytest.mark.parametrize(("job", "command"), list(commands()))
def test_every_step_is_a_target_that_runs_here_too(job: str, command: str) -> None:
    targets = dict(TARGET.findall((ROOT / "Makefile").read_text()))
    program, target, *settings = shlex.split(command)
    assert program == "make", f"{job} runs something that a clone can't: {command}"
    assert target in targets, f"{job} runs `make {target}`, which is no target"
    assert "not built yet" not in targets[target]
    environ = {**os.environ, "STACK": "staging", "PR": "1", "GITHUB_STEP_SUMMARY": "/dev/null"}
    done = subprocess.run(
        ("make", "--dry-run", target, *settings),
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=TOOL_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_action_is_pinned_by_commit_and_says_which_version_that_is() -> None:
    lines = [
        line
        for path in (*WORKFLOWS, SETUP)
        for line in path.read_text().splitlines()
        if "uses:" in line
    ]
    outside = [line for line in lines if "uses: ./" not in line]
    assert outside
    assert [line for line in outside if not PINNED.match(line)] == []


def test_rights_are_given_a_job_and_no_more_than_it_needs() -> None:
    writers = set()
    for name, workflow, job in jobs():
        assert workflow["permissions"] == {}, name
        assert job["permissions"], name
        writers |= {(name, what) for what, right in job["permissions"].items() if right != "read"}
    assert writers == {
        ("preview.comment", "pull-requests"),
        ("deploy.image", "packages"),
        ("image.image", "packages"),
    }


def test_a_pull_request_gets_no_secret_and_no_privileged_trigger() -> None:
    for path in WORKFLOWS:
        workflow = read(path)
        assert not triggers(workflow) & {"pull_request_target", "workflow_run", "issue_comment"}
        if "pull_request" in triggers(workflow):
            assert "secrets." not in path.read_text(), path.name
            assert "environment" not in str(workflow["jobs"]), path.name


def test_code_of_a_pull_request_never_runs_beside_a_right_to_write() -> None:
    (job,) = [job for name, _, job in jobs() if name == "preview.comment"]
    (checkout,) = [s for s in job["steps"] if str(s.get("uses")).startswith("actions/checkout@")]
    assert checkout["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
    assert "head.repo.full_name == github.repository" in job["if"]
    # An artifact is whatever that code made of it: unpacked over the clone it could be a Makefile.
    (taken,) = [s for s in job["steps"] if str(s.get("uses")).startswith("actions/download-")]
    assert taken["with"]["path"].startswith("${{ runner.temp }}/")


def test_no_checkout_leaves_a_token_behind() -> None:
    for name, _, job in jobs():
        for step in job.get("steps", ()):
            if str(step.get("uses")).startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False, name


def test_every_job_ends_and_no_two_updates_run_at_once() -> None:
    for name, workflow, job in jobs():
        assert "timeout-minutes" in job or "uses" in job, name
        assert workflow["concurrency"]["group"], name
    deploy = read(ROOT / ".github" / "workflows" / "deploy.yml")
    assert deploy["concurrency"]["cancel-in-progress"] is False
    assert triggers(deploy) == {"push"}
    assert deploy[True]["push"] == {"branches": ["main"]}
    prod, staging = deploy["jobs"]["prod"], deploy["jobs"]["staging"]
    assert (prod["environment"], prod["needs"]) == ("prod", ["image", "staging"])
    assert (staging["needs"], deploy["jobs"]["image"]["needs"]) == ("image", "ci")
    for job in (staging, prod):
        assert job["env"]["COINSLOT_IMAGE"] == "${{ needs.image.outputs.reference }}"


def test_every_job_runs_on_the_python_of_the_image() -> None:
    (setup,) = read(SETUP)["runs"]["steps"]
    version = setup["with"]["python-version"]
    assert f"python:{version}-slim" in (ROOT / "Dockerfile").read_text()
    for name, _, job in jobs():
        uses = [step.get("uses") for step in job.get("steps", ())]
        assert not uses or "./.github/actions/setup" in uses, name
