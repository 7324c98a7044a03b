"""`make diff` against real branches: ten planted risks are named, and what it can't do it says."""

import json
from pathlib import Path

import pytest

from infra.review import report
from scripts import console
from scripts.deploy import diff
from tests.support.clones import Clone, clone

TIMEOUT_S = 600  # two renderings of a few seconds each, on a machine that is busy
STACK_FILE = "Pulumi.staging.yaml"
PODS, WORKLOAD = "infra/components/pods.py", "infra/components/workload.py"
API = "Deployment coinslot-api"
PLANTED = {
    ("image-changed", API),
    ("limits-lowered", API),
    ("hpa-maximum-lowered", "HorizontalPodAutoscaler coinslot-api"),
    ("replicas-lowered", "Deployment coinslot-worker"),
    ("network-opened-to-the-world", "NetworkPolicy coinslot-allow-services"),
    ("pdb-loosened", "PodDisruptionBudget coinslot-api"),
    ("probe-loosened", API),
    ("privileges-raised", API),
    ("object-replaced", "Service coinslot-api"),
    ("alert-removed", "PrometheusRule coinslot"),
}


def plant(made: Clone) -> None:
    """Change ten things that a reviewer must hear of."""
    made.edit(STACK_FILE, "tag: 0.1.0", "tag: 0.2.0")
    made.edit(
        STACK_FILE,
        '      limits: {cpu: "1", memory: 384Mi}\n  coinslot:worker:\n    resources:',
        "      limits: {cpu: 500m, memory: 384Mi}\n    autoscaling: {maxReplicas: 10}\n"
        "  coinslot:worker:\n    replicas: 1\n    resources:",
    )
    made.edit(
        STACK_FILE,
        "    services:\n",
        "    services:\n      anywhere: {cidr: 11.0.0.0/8, port: 443}\n",
    )
    made.edit(WORKLOAD, "MIN_AVAILABLE: Final = 2", "MIN_AVAILABLE: Final = 1")
    made.edit(WORKLOAD, 'type="ClusterIP",', 'type="ClusterIP", cluster_ip="None",')
    made.edit(PODS, '"ready", period_s=5, failures=2', '"ready", period_s=5, failures=20')
    made.edit(PODS, "read_only_root_filesystem=True", "read_only_root_filesystem=False")
    made.edit(
        "alerts/__init__.py",
        "    return [area.document() for area in AREAS]",
        "    *others, last = [area.document() for area in AREAS]\n"
        '    return [*others, {**last, "rules": last["rules"][:-1]}]',
    )


@pytest.fixture
def made(tmp_path: Path) -> Clone:
    return clone(tmp_path)


@pytest.mark.timeout(TIMEOUT_S)
def test_ten_planted_risks_are_all_named(made: Clone, tmp_path: Path) -> None:
    made.git("switch", "--quiet", "--create", "risky")
    plant(made)
    made.commit("Ten bad ideas")
    comment = tmp_path / "comment.md"

    done = made.run(
        "scripts.deploy.diff",
        *("staging", "--base", "main", "--json", "--fail-on", "high"),
        *("--markdown", str(comment)),
    )

    assert done.code == diff.RISKY, done.err
    (stack,) = json.loads(done.out)["stacks"]
    named = {(risk["rule"], risk["object"]) for risk in stack["risks"]}
    assert PLANTED - named == set()
    assert any(violation["new"] for violation in stack["violations"])
    assert "main" in json.loads(done.out)["sides"]
    written = comment.read_text()
    assert written.startswith(report.MARKER)
    for rule, _ in PLANTED:
        assert f"`{rule}`" in written
    assert "NetworkPolicy opens egress to 11.0.0.0/8:443" in written


@pytest.mark.timeout(TIMEOUT_S)
def test_what_is_not_committed_counts_and_later_work_on_the_base_does_not(made: Clone) -> None:
    made.git("switch", "--quiet", "--create", "mine")
    made.git("switch", "--quiet", "main")
    made.edit(STACK_FILE, "maxConnections: 500", "maxConnections: 400")
    made.commit("Somebody else's work")
    made.git("switch", "--quiet", "mine")
    made.edit("infra/labels.py", "SERVICE_PORT: Final = 80\n", "SERVICE_PORT: Final = 81\n")

    done = made.run("scripts.deploy.diff", "staging")

    assert done.code == 0, done.err
    assert "working tree" in done.out
    assert "with uncommitted changes" in done.out
    assert "port 80 removed: clients that use it fail" in done.out
    assert "database-connections" not in done.out
    assert "\x1b[" not in done.out


@pytest.mark.timeout(TIMEOUT_S)
def test_a_side_that_does_not_render_is_named_with_the_reason(made: Clone) -> None:
    made.edit(STACK_FILE, "maxConnections: 500", "maxConections: 500")

    done = made.run("scripts.deploy.diff", "staging")

    assert done.code == console.FAILED
    assert "staging of working tree" in done.err
    assert "did you mean coinslot:database.maxConnections?" in done.err
    assert "Traceback" not in done.err


@pytest.mark.timeout(TIMEOUT_S)
def test_for_a_base_that_renders_no_more_its_committed_manifests_stand_in(made: Clone) -> None:
    program = "infra/__main__.py"
    made.edit(program, "import pulumi\n", "import pulumi\nimport gone_since_then\n")
    made.commit("Need a package that is gone")
    made.git("switch", "--quiet", "--create", "fix")
    made.edit(program, "import gone_since_then\n", "")
    made.edit(STACK_FILE, "tag: 0.1.0", "tag: 0.2.0")
    made.commit("Do without it")

    done = made.run("scripts.deploy.diff", "staging", "--json")

    assert done.code == 0, done.err
    assert "its committed manifests of staging are used" in done.err
    assert "gone_since_then" in done.err
    (stack,) = json.loads(done.out)["stacks"]
    assert "image-changed" in {risk["rule"] for risk in stack["risks"]}


def test_a_stack_s_file_that_is_none_is_named(made: Clone) -> None:
    (made.root / STACK_FILE).write_text("config: [\n")

    done = made.run("scripts.deploy.diff", "staging", "--base", "HEAD")

    assert (done.code, "Traceback" in done.err) == (console.FAILED, False), done.err
    assert f"{STACK_FILE} of working tree" in done.err
    assert "can't be read: no YAML in line 2" in done.err


def test_wrong_usage_is_told(made: Clone) -> None:
    for arguments, code, message in (
        (("staging", "--base", "nowhere"), console.FAILED, "no such commit: nowhere"),
        (
            ("staging", "--markdown", "no/such/folder.md"),
            console.USAGE,
            "no folder no/such",
        ),
        (("dev",), console.USAGE, "invalid choice: 'dev'"),
        (("staging", "--fail-on", "some"), console.USAGE, "invalid choice: 'some'"),
    ):
        done = made.run("scripts.deploy.diff", *arguments)
        assert (done.code, "Traceback" in done.err) == (code, False)
        assert message in done.err
