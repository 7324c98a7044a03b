"""Releases, drift and rollback, with the real engine in a clone of its own."""

import json
from pathlib import Path
from typing import Any

import pytest

from scripts import console
from scripts.render import files_below
from tests.support.clones import Clone, Done, clone

TIMEOUT_S = 900  # a dozen runs of the engine, on a machine that is busy with other tests
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
            "PULUMI_SKIP_CHECKPOINTS": "true",  # nothing here is cut off, and the end is saved
        },
    )


def run(made: Clone, operation: str, *arguments: str, code: int = 0) -> Done:
    done = made.run("scripts.deploy.stack", operation, "staging", *arguments)
    assert done.code == code, done.out + done.err
    return done


def bring(made: Clone, tag: str, migration: str, sql: str) -> None:
    """Write a version with a migration into the clone."""
    old = next(
        line.strip()
        for line in (made.root / STACK_FILE).read_text().splitlines()
        if line.strip().startswith("tag: ")
    )
    made.edit(STACK_FILE, old, f"tag: {tag}")
    (made.root / MIGRATIONS / f"{migration}.sql").write_text(sql)


def release(made: Clone, tag: str, migration: str, sql: str) -> dict[str, str]:
    """Commit and release a version with a migration; return what was rendered."""
    bring(made, tag, migration, sql)
    made.commit(f"Release {tag}")
    run(made, "up")
    return manifests(made)


def manifests(made: Clone) -> dict[str, str]:
    return files_below(Path(made.environ["COINSLOT_RENDER_DIR"]), ["staging"])


def listed(made: Clone) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(made, "releases", "--json").out)
    return found


def what_the_schema_forbids_is_refused(made: Clone) -> None:
    """Release what only the working tree holds, and try to go back over it."""
    bring(made, "1.2.0", "9003_less", CONTRACT)
    run(made, "up")
    third = manifests(made)
    refused = run(made, "rollback", "--to", "2", code=console.FAILED)
    assert "9003_less: drops a column: ALTER TABLE orders DROP COLUMN note" in refused.err
    assert "go forward instead" in refused.err
    dirty = run(made, "rollback", "--to", "4", code=console.FAILED)
    assert "made from uncommitted changes" in dirty.err
    assert manifests(made) == third


@pytest.mark.timeout(TIMEOUT_S)
def test_a_stack_is_released_drifts_is_repaired_and_goes_back(made: Clone) -> None:
    """Each run of the engine takes seconds, so one scenario walks through them all."""
    assert "there is no stack staging yet" in run(made, "drift", code=console.FAILED).err
    first = release(made, "1.0.0", "9001_note", EXPAND)
    assert json.loads(run(made, "drift", "--json").out)["drift"] == []
    assert len(listed(made)) == 1
    assert release(made, "1.1.0", "9002_more", EXPAND.replace("note", "more")) != first

    back = run(made, "rollback", "--to", "1")
    assert manifests(made) == first
    assert "these migrations stay, they only add: 9002_more" in back.err
    assert "kubernetes:apps/v1:Deployment api updated" in back.out
    assert "staging is back at release 1" in back.out
    assert json.loads(run(made, "drift", "--json").out)["drift"] == []

    what_the_schema_forbids_is_refused(made)
    records = listed(made)
    assert [each["number"] for each in records] == [1, 2, 3, 4]
    assert [each["back_to"] for each in records] == [None, None, 1, None]
    assert [each["dirty"] for each in records] == [False, False, False, True]
    assert records[0]["commit"] == records[2]["commit"]
    assert records[1]["commit"] == made.git("rev-parse", "HEAD")
    assert records[1]["image"] == "ghcr.io/coinslot/coinslot:1.1.0"
    assert [each["migrations"] for each in records[1::2]] == ["9002_more", "9003_less"]
    assert records[3]["who"] == "Ada <ada@example.test>"
    assert records[0]["config"] != records[1]["config"]
    shown = run(made, "releases").out
    assert "back to 1" in shown
    assert "uncommitted changes" in shown
    run(made, "destroy")
    assert manifests(made) == {}
