"""The record of releases: what is kept, how it is found again, what a rollback is refused for."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scripts.deploy import releases, rollback
from scripts.deploy.releases import MIGRATIONS, Release, ReleaseError
from scripts.deploy.revisions import Repository, RevisionError

GIT_TIMEOUT_S = 60
RELEASE = Release(
    commit="a" * 40,
    dirty=False,
    image="shop:1",
    config="c0ffee",
    migrations="0002_more",
    who="Ada <ada@example.test>",
)


def entry(message: str, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "update",
        "startTime": "2026-01-02T03:04:05.000Z",
        "message": message,
        "result": "succeeded",
        **changes,
    }


def test_a_record_survives_the_history() -> None:
    (found,) = releases.recorded([entry(RELEASE.message)])
    assert replace(found, number=0, when="", result="") == RELEASE
    assert (found.number, found.result) == (1, "succeeded")


def test_only_updates_are_releases_and_the_oldest_is_the_first() -> None:
    history = [
        entry(replace(RELEASE, image="shop:2").message, result="failed"),
        entry("", kind="refresh"),
        entry(RELEASE.message),
    ]
    assert [(each.number, each.image, each.result) for each in releases.recorded(history)] == [
        (1, "shop:1", "succeeded"),
        (2, "shop:2", "failed"),
    ]


NO_COMMIT = RELEASE.message.replace(f'"{RELEASE.commit}"', "null")


def test_a_record_of_a_later_version_is_read() -> None:
    later = RELEASE.message.replace('"dirty"', '"later": 1, "dirty"')
    assert releases.recorded([entry(later)])[0].commit == RELEASE.commit


@pytest.mark.parametrize(
    "message", ["", "by hand", "two\nlines", "two\n[1]", 'two\n{"x": 1}', NO_COMMIT]
)
def test_an_update_without_a_record_is_what_the_engine_noted(message: str) -> None:
    noted = {"git.head": "b" * 40, "git.dirty": "false", "git.author": "Bob"}
    image = {"repository": "shop", "tag": "3", "digest": "sha256:00"}
    config = {"coinslot:image": {"value": "…", "objectValue": image}}
    (found,) = releases.recorded([entry(message, environment=noted, config=config)])
    assert (found.commit, found.dirty, found.who) == ("b" * 40, False, "Bob")
    assert found.image == "shop:3@sha256:00"


def test_a_release_is_found_by_number_and_by_its_newest_commit() -> None:
    known = [replace(RELEASE, number=n, commit=c * 40) for n, c in ((1, "a"), (2, "b"), (3, "a"))]
    assert releases.find(known, "2").number == 2
    assert releases.find(known, "aaaaaaa").number == 3
    spoilt = [replace(known[2], result="failed", number=4), replace(known[2], dirty=True, number=5)]
    usable = [replace(each, result="succeeded") for each in known]
    assert releases.find([*usable, *spoilt], "aaaaaaa").number == 3
    assert releases.find(spoilt, "aaaaaaa").number == 5
    for unknown in ("4", "aaa", "ccccccc"):
        with pytest.raises(ReleaseError, match=r"releases: 1 \(aaaaaaaaaa\), 2"):
            releases.find(known, unknown)


@pytest.mark.parametrize("text", ["config: [", "- a", "", "config: text", None])
def test_a_stack_s_file_that_is_none_is_named(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "Pulumi.prod.yaml").write_text(text)
    with pytest.raises(RevisionError, match=r"Pulumi\.prod\.yaml of the working tree"):
        releases.of_tree(tmp_path / "Pulumi.prod.yaml", Repository(tmp_path))


def test_a_hash_of_settings_leaves_out_what_is_secret_and_what_is_only_form() -> None:
    plain = {"config": {"coinslot:api": {"a": 1, "b": 2}}}
    sealed = {
        "encryptionsalt": "v1:x",
        "config": {"coinslot:api": {"b": 2, "a": 1}, "coinslot:secretValues": {"K": "v"}},
    }
    assert releases.config_hash(plain) == releases.config_hash(sealed)
    other = {"config": {"coinslot:api": {"a": 1, "b": 3}}}
    assert releases.config_hash(plain) != releases.config_hash(other)


class Shop:
    """A repository with migrations, and the releases that were made of it."""

    def __init__(self, root: Path) -> None:
        self.repository = Repository(root)
        self.known: list[Release] = []
        root.mkdir()
        self.git("init", "--quiet")
        for key, value in {"name": "Ada", "email": "ada@example.test"}.items():
            self.git("config", f"user.{key}", value)

    def git(self, *arguments: str) -> None:
        subprocess.run(
            ("git", *arguments), cwd=self.repository.root, check=True, timeout=GIT_TIMEOUT_S
        )

    def release(self, migration: str, sql: str, **changes: Any) -> Release:
        folder = self.repository.root / MIGRATIONS
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{migration}.sql").write_text(sql)
        if not changes.get("dirty"):
            self.git("add", "--all")
            self.git("commit", "--quiet", "--message", migration)
        commit = self.repository.git("rev-parse", "HEAD")
        made = Release(
            **{
                "commit": commit,
                "dirty": False,
                "image": "shop:1",
                "config": "c",
                "migrations": migration,
                "who": "Ada",
                "number": len(self.known) + 1,
                "result": "succeeded",
                **changes,
            }
        )
        self.known.append(made)
        return made

    def plan(self, to: Release) -> rollback.Rollback:
        return rollback.plan(self.repository, self.known, to, "Bob")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    if not shutil.which("git"):
        pytest.skip("needs git, which the image of the stage development lacks")
    return Shop(tmp_path / "shop")


def test_a_release_that_only_lacks_additions_can_be_gone_back_to(shop: Shop) -> None:
    first = shop.release("0001_start", "CREATE TABLE a (b int)")
    shop.release("0002_more", "ALTER TABLE a ADD COLUMN c int")
    planned = shop.plan(first)
    assert planned.kept == ["0002_more"]
    assert (planned.record.back_to, planned.record.who) == (1, "Bob")
    assert planned.record.commit == first.commit


@pytest.mark.parametrize("result", ["succeeded", "failed"])
def test_a_contraction_since_then_stands_against_it_also_of_a_failed_release(
    shop: Shop, result: str
) -> None:
    first = shop.release("0001_start", "CREATE TABLE a (b int)")
    shop.release("0002_less", "ALTER TABLE a DROP COLUMN b", result=result)
    (shop.repository.root / MIGRATIONS / "0002_less.sql").unlink()
    last = shop.release("0003_more", "ALTER TABLE a ADD COLUMN d int")
    with pytest.raises(ReleaseError, match="0002_less: drops a column"):
        shop.plan(first)
    assert shop.plan(last).kept == []


def test_what_was_released_uncommitted_counts_too(shop: Shop) -> None:
    first = shop.release("0001_start", "CREATE TABLE a (b int)")
    dirty = shop.release("0002_less", "ALTER TABLE a DROP COLUMN b", dirty=True)
    with pytest.raises(ReleaseError, match="0002_less: drops a column"):
        shop.plan(first)
    with pytest.raises(ReleaseError, match="uncommitted changes"):
        shop.plan(dirty)
    (shop.repository.root / MIGRATIONS / "0002_less.sql").unlink()
    with pytest.raises(ReleaseError, match="0002_less, which is nowhere to be read"):
        shop.plan(first)


def test_a_release_records_what_it_applies_last_whatever_its_number(shop: Shop) -> None:
    shop.release("0003_first", "CREATE TABLE a (b int)")
    shop.release("0001_then", "-- depends: 0003_first\nALTER TABLE a ADD COLUMN c int")
    file = shop.repository.root / "Pulumi.staging.yaml"
    file.write_text("config: {}")
    record = releases.of_tree(file, shop.repository)
    assert record.migrations == "0001_then"


def test_a_failed_or_an_unknown_release_is_none_to_go_back_to(shop: Shop) -> None:
    failed = shop.release("0001_start", "CREATE TABLE a (b int)", result="failed")
    gone = shop.release("0002_more", "CREATE TABLE b (c int)", commit="f" * 40)
    last = shop.release("0003_more", "CREATE TABLE d (c int)")
    with pytest.raises(ReleaseError, match="has failed"):
        shop.plan(failed)
    with pytest.raises(ReleaseError, match="not in this clone: git fetch"):
        shop.plan(gone)
    assert shop.plan(last).kept == []


def test_settings_come_from_then_and_secrets_from_now() -> None:
    then = {
        "encryptionsalt": "old",
        "config": {"coinslot:image": {"tag": "1"}, "coinslot:secretValues": {"K": {"secure": "1"}}},
    }
    now = {
        "encryptionsalt": "new",
        "secretsprovider": "awskms://…",
        "config": {"coinslot:image": {"tag": "2"}, "coinslot:secretValues": {"K": {"secure": "2"}}},
    }
    assert rollback.with_secrets(then, now) == {
        "encryptionsalt": "new",
        "secretsprovider": "awskms://…",
        "config": {"coinslot:image": {"tag": "1"}, "coinslot:secretValues": {"K": {"secure": "2"}}},
    }


@pytest.mark.parametrize(
    ("image", "committed", "deployed"),
    [
        ("shop:1", True, None),
        ("shop:1@sha256:00", True, "shop:1@sha256:00"),
        ("shop:1", False, "shop:1"),
        ("shop:1@sha256:00", False, "shop:1@sha256:00"),
    ],
)
def test_a_rollback_never_deploys_the_image_of_today(
    *, image: str, committed: bool, deployed: str | None
) -> None:
    environ = {"HOME": "/home/ada", "COINSLOT_IMAGE": "shop:2@sha256:11"}
    made = rollback.with_image(environ, replace(RELEASE, image=image), committed=committed)
    assert made.pop("COINSLOT_IMAGE", None) == deployed
    assert made == {"HOME": "/home/ada"}


def test_a_release_whose_image_nobody_noted_is_none_for_settings_from_elsewhere() -> None:
    unknown = replace(RELEASE, image="unknown:unknown", number=3)
    with pytest.raises(ReleaseError, match="nobody noted the image of release 3"):
        rollback.with_image({}, unknown, committed=False)
