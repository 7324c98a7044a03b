"""Migrations only expand: what takes something away, or locks for long, is refused or explained."""

import json
from pathlib import Path

import pytest

from scripts import console, migrations
from scripts.migrations import FIRST_CHECKED, FOLDER, check, checked, main

TAKES_AWAY = {
    "a dropped column": "ALTER TABLE payments DROP COLUMN failure_code;",
    "a dropped table": "DROP TABLE payments;",
    "a dropped view": "DROP VIEW money_invariants;",
    "a dropped function": "DROP FUNCTION guard_balance();",
    "a dropped constraint": "ALTER TABLE payments DROP CONSTRAINT no_over_refund;",
    "a renamed column": "ALTER TABLE payments RENAME COLUMN provider TO psp;",
    "a renamed table": "ALTER TABLE payments RENAME TO payment;",
    "another type": "ALTER TABLE payments ALTER COLUMN provider TYPE varchar(20);",
    "a required column": "ALTER TABLE payments ADD COLUMN note text NOT NULL;",
    "a column that becomes required": "ALTER TABLE payments ALTER COLUMN note SET NOT NULL;",
    "a default that goes": "ALTER TABLE payments ALTER COLUMN note DROP DEFAULT;",
    "emptied tables": "TRUNCATE payments CASCADE;",
    "an emptied table": "TRUNCATE payments;",
    "a right that goes": "REVOKE SELECT ON payments FROM coinslot_service;",
    "an index that an ON CONFLICT may need": "DROP INDEX payments_by_user;",
    "a constraint on what is written from now on": "ALTER TABLE payments ADD CONSTRAINT c "
    "CHECK (amount_minor > 1) NOT VALID;",
}
LOCKS_LONG = {
    "an index while writers wait": "CREATE INDEX slow ON payments (provider);",
    "a unique index while writers wait": "CREATE UNIQUE INDEX slow ON payments (provider);",
    "an index that goes": "DROP INDEX payments_by_user;",
    "a checked constraint": "ALTER TABLE payments ADD CONSTRAINT c CHECK (amount_minor > 1);",
    "a foreign key": "ALTER TABLE payments ADD CONSTRAINT f FOREIGN KEY (order_id) "
    "REFERENCES orders;",
    "a unique constraint": "ALTER TABLE payments ADD CONSTRAINT u UNIQUE (order_id);",
    "a column that rewrites the table": "ALTER TABLE payments ADD COLUMN key uuid "
    "DEFAULT gen_random_uuid();",
    "a new index in place of another": "REINDEX TABLE payments;",
}
EXPANDS = {
    "a table and what is its own": "CREATE TABLE fresh (id bigint);\n"
    "CREATE INDEX fresh_by_id ON fresh (id);",
    "a column that may be empty": "ALTER TABLE payments ADD COLUMN note text;",
    "a column with a constant": "ALTER TABLE payments ADD COLUMN note text NOT NULL DEFAULT '';",
    "a view": "CREATE OR REPLACE VIEW money AS SELECT 1 AS one;",
    "an index beside the writers": "-- transactional: false\n"
    "CREATE INDEX CONCURRENTLY quick ON payments (provider);",
    "a function's body": "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$\n"
    "BEGIN DROP TABLE IF EXISTS scratch; END $$;",
}


def written(tmp_path: Path, sql: str) -> Path:
    path = tmp_path / "0099_try.sql"
    path.write_text(f"-- A try.\n-- depends: 0016_audit_seals\n{sql}\n")
    return path


@pytest.mark.parametrize("case", TAKES_AWAY)
def test_what_takes_something_away_is_refused(case: str, tmp_path: Path) -> None:
    found = list(check(written(tmp_path, TAKES_AWAY[case])))

    assert found
    assert any(
        finding.line == 3 and "`-- contract: <reason>` or `-- expands: <reason>`" in finding.message
        for finding in found
    ), found


@pytest.mark.parametrize("case", LOCKS_LONG)
def test_what_locks_for_long_is_refused(case: str, tmp_path: Path) -> None:
    found = list(check(written(tmp_path, LOCKS_LONG[case])))

    locking = [finding for finding in found if finding.kind == "locks"]
    assert locking, found
    assert all("`-- locks: <reason>`" in finding.message for finding in locking)


@pytest.mark.parametrize("case", EXPANDS)
def test_what_expands_passes(case: str, tmp_path: Path) -> None:
    assert list(check(written(tmp_path, EXPANDS[case]))) == []


def test_a_reason_covers_the_statement_that_follows_and_no_other(tmp_path: Path) -> None:
    first = TAKES_AWAY["a dropped column"]
    sql = f"-- contract: not read since 0.4\n{first}\nDROP TABLE orders;"
    (found,) = check(written(tmp_path, sql))

    assert (found.line, found.rule) == (5, "ban-drop-table")


def test_each_kind_needs_its_own_word(tmp_path: Path) -> None:
    drop, index = TAKES_AWAY["a dropped column"], LOCKS_LONG["an index while writers wait"]

    assert list(check(written(tmp_path, f"-- expands: never written\n{drop}"))) == []
    assert list(check(written(tmp_path, f"-- locks: ten rows\n{index}"))) == []
    for wrong in (f"-- locks: ten rows\n{drop}", f"-- contract: ten rows\n{index}"):
        rules = [finding.rule for finding in check(written(tmp_path, wrong))]
        assert len(rules) == 2
        assert rules[-1] == "unused-mark"


def test_a_word_without_a_reason_covers_nothing(tmp_path: Path) -> None:
    (found,) = check(written(tmp_path, f"-- contract:\n{TAKES_AWAY['a dropped table']}"))

    assert found.rule == "ban-drop-table"


def test_a_concurrent_index_needs_to_be_outside_of_a_transaction(tmp_path: Path) -> None:
    index = "CREATE INDEX CONCURRENTLY quick ON payments (provider);"
    for sql in (index, f"SELECT 1;\n-- transactional: false\n{index}"):  # yoyo reads the head only
        rules = [finding.rule for finding in check(written(tmp_path, sql))]
        assert rules[0] == "concurrently-in-transaction"


def test_sql_that_is_none_is_refused(tmp_path: Path) -> None:
    assert "syntax-error" in {f.rule for f in check(written(tmp_path, "ALTER TABEL payments;"))}


def test_the_committed_migrations_expand(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0, capsys.readouterr().out
    assert all(int(path.stem[:4]) >= FIRST_CHECKED for path in checked(FOLDER))


def test_the_first_checked_migration_is_never_moved_past_one_that_is_there() -> None:
    """Whoever moves the number would wave through what is to be checked."""
    assert FIRST_CHECKED == 17


def test_the_command_says_where_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, TAKES_AWAY["a dropped column"])

    assert main([str(path), "--json"]) == migrations.REFUSED
    (refused,) = json.loads(capsys.readouterr().out)["refused"]
    assert (refused["file"], refused["line"]) == ("0099_try.sql", 3)
    assert main([str(path)]) == migrations.REFUSED
    assert "0099_try.sql:3: ban-drop-column: " in capsys.readouterr().out
    assert main([str(tmp_path / "none.sql")]) == console.USAGE
