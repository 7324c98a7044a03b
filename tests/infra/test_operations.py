"""Releases, drift and rollback, with the real engine in a clone of its own."""

import json
from pathlib import Path
from typing import Any

import pytest

from scripts import stack
from scripts.render import files_below
from tests.support.clones import Clone, Done, clone

TIMEOUT_S = 900  # eight runs of the engine, on a machine that is busy with other tests
STACK_FILE = "Pulumi.staging.yaml"
MIGRATIONS = "service/store/migrations"
EXPAND = "ALTER TABLE orders ADD COLUMN note text;\n"
CONTRACT = "ALTER TABLE orders DROP COLUMN note;\n"


@pytest.fixture
def made(tmp_path: Path) -> Clone:
    (tmp_path / "state").mkdir()
    return clone(
        tmp_path,
        {
            "PULUMI_BACKEND_URL": (tmp_path / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "development",
            "COINSLOT_RENDER_DIR": str(tmp_path / "out"),
        },
    )


def run(made: Clone, operation: str, *arguments: str, code: int = 0) -> Done:
    done = made.run("scripts.stack", operation, "staging", *arguments)
    assert done.code == code, done.out + done.err
    return done


def release(made: Clone, tag: str, migration: str, sql: str) -> dict[str, str]:
    """Commit and release a version with a migration; return what was rendered."""
    old = next(
        line.strip()
        for line in (made.root / STACK_FILE).read_text().splitlines()
        if line.strip().startswith("tag: ")
    )
    made.edit(STACK_FILE, old, f"tag: {tag}")
    (made.root / MIGRATIONS / f"{migration}.sql").write_text(sql)
    made.commit(f"Release {tag}")
    run(made, "up")
    return manifests(made)


def manifests(made: Clone) -> dict[str, str]:
    return files_below(Path(made.environ["COINSLOT_RENDER_DIR"]), ["staging"])


def listed(made: Clone) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(made, "releases", "--json").out)
    return found


@pytest.mark.timeout(TIMEOUT_S)
def test_a_release_is_recorded_gone_back_to_and_refused(made: Clone) -> None:
    first = release(made, "1.0.0", "9001_note", EXPAND)
    second = release(made, "1.1.0", "9002_more", EXPAND.replace("note", "more"))
    assert first != second

    back = run(made, "rollback", "--to", "1")
    assert manifests(made) == first
    assert "these migrations stay, they only add: 9002_more" in back.err
    assert "~ Deployment coinslot-api updated" in back.out
    assert "staging is back at release 1" in back.out

    third = release(made, "1.2.0", "9003_less", CONTRACT)
    commit = made.git("rev-parse", "HEAD")
    (made.root / STACK_FILE).write_text((made.root / STACK_FILE).read_text() + "# touched\n")
    run(made, "up")  # the same again, with a change that is not committed

    refused = run(made, "rollback", "--to", "2", code=stack.FAILED)
    assert "9003_less: drops a column: ALTER TABLE orders DROP COLUMN note" in refused.err
    assert "go forward instead" in refused.err
    dirty = run(made, "rollback", "--to", "5", code=stack.FAILED)
    assert "made from uncommitted changes" in dirty.err
    assert manifests(made) == third

    records = listed(made)
    assert [each["number"] for each in records] == [1, 2, 3, 4, 5]
    assert [each["back_to"] for each in records] == [None, None, 1, None, None]
    assert [each["dirty"] for each in records] == [False, False, False, False, True]
    assert records[0]["commit"] == records[2]["commit"]
    assert records[3]["commit"] == commit
    assert records[3]["image"] == "ghcr.io/coinslot/coinslot:1.2.0"
    assert records[3]["migrations"] == "9003_less"
    assert records[3]["who"] == "Ada <ada@example.test>"
    assert records[0]["config"] != records[1]["config"]
    shown = run(made, "releases").out
    assert "back to 1" in shown
    assert "uncommitted changes" in shown


@pytest.mark.timeout(TIMEOUT_S)
def test_drift_names_objects_and_fields_and_changes_nothing(made: Clone) -> None:
    assert "there is no stack staging yet" in run(made, "drift", code=stack.FAILED).err
    run(made, "up")
    applied = manifests(made)
    assert "everything is as applied" in run(made, "drift").out

    folder = Path(made.environ["COINSLOT_RENDER_DIR"]) / "staging" / "1-manifest"
    config = folder / "v1-configmap-coinslot-staging-coinslot-config.yaml"
    config.write_text(config.read_text().replace("LOG_LEVEL: info", "LOG_LEVEL: error"))
    (folder / "v1-service-coinslot-staging-coinslot-api.yaml").unlink()
    tampered = manifests(made)

    found = run(made, "drift", code=stack.DRIFTED).out
    assert "- Service coinslot-api is gone" in found
    assert "~ ConfigMap coinslot-config was changed\n    ~ data.LOG_LEVEL: info → error" in found
    again = json.loads(run(made, "drift", "--json", code=stack.DRIFTED).out)
    assert [each["object"] for each in again["drift"]] == [
        "ConfigMap coinslot-config",
        "Service coinslot-api",
    ]
    assert manifests(made) == tampered
    assert len(listed(made)) == 1

    run(made, "refresh")
    run(made, "up", "--raw")
    assert manifests(made) == applied
    assert json.loads(run(made, "drift", "--json").out)["drift"] == []
