"""What takes something away from an earlier release, and what doesn't."""

import pytest

from infra.migrations import contractions
from scripts import migrations

CONTRACTING = [
    ("ALTER TABLE a DROP COLUMN b", "drops a column"),
    ("DROP TABLE a", "drops a table"),
    ("DROP FUNCTION f()", "drops a function"),
    ("ALTER TABLE a DROP CONSTRAINT c", "an ON CONFLICT may need"),
    ("DROP INDEX CONCURRENTLY i", "an ON CONFLICT may need"),
    ("ALTER TABLE a RENAME COLUMN b TO c", "renames"),
    ("alter table a rename to b", "renames"),
    ("ALTER TABLE a ALTER COLUMN b TYPE bigint", "changes a column's type"),
    ("ALTER TABLE a ALTER b SET DATA TYPE bigint", "changes a column's type"),
    ("ALTER TABLE a ALTER COLUMN b SET NOT NULL", "may not write"),
    ("ALTER TABLE a ALTER COLUMN b DROP DEFAULT", "a default"),
    ("ALTER TABLE a ADD CONSTRAINT c CHECK (b > 0)", "adds a constraint"),
    ("ALTER TABLE a ADD UNIQUE (b)", "adds a constraint"),
    ("CREATE UNIQUE INDEX i ON a (b)", "forbids duplicates"),
    ("ALTER TABLE a ADD COLUMN b int NOT NULL", "must not be empty"),
    ("ALTER TABLE a ADD COLUMN b int, ADD COLUMN c text NOT NULL", "must not be empty"),
    ("TRUNCATE a", "deletes rows"),
    ("DELETE FROM a WHERE b", "deletes rows"),
    ("REVOKE SELECT ON a FROM b", "takes a right away"),
    ("WITH old AS (DELETE FROM a RETURNING *) SELECT count(*) FROM old", "deletes rows"),
    ('ALTER TABLE a ALTER "b" TYPE bigint', "changes a column's type"),
    ("ALTER TABLE a SET SCHEMA b", "in its old place"),
    ("ALTER TABLE a ENABLE ROW LEVEL SECURITY", "hides rows"),
]
EXPANDING = [
    "CREATE TABLE a (b int NOT NULL UNIQUE)",
    "CREATE TABLE a (b int); CREATE UNIQUE INDEX i ON a (b); ALTER TABLE a ADD CHECK (b > 0)",
    "ALTER TABLE a ADD COLUMN b int",
    "ALTER TABLE a ADD COLUMN b int NOT NULL DEFAULT 0",
    "ALTER TABLE a ADD COLUMN b int DEFAULT 0 NOT NULL",
    "CREATE INDEX CONCURRENTLY i ON a (b)",
    "CREATE TYPE t AS ENUM ('drop table')",
    "CREATE FUNCTION f() RETURNS void AS $f$ BEGIN DELETE FROM a; DROP TABLE b; END $f$",
    "CREATE TRIGGER t BEFORE DELETE OR TRUNCATE ON a EXECUTE FUNCTION f()",
    "COMMENT ON COLUMN a.b IS 'what a DROP TABLE would take'",
    "-- DROP TABLE a;\nSELECT 1",
    "/* DROP TABLE a; */ SELECT 1",
    "-- expands: nothing wrote to it before this release\nALTER TABLE a ADD CHECK (b > 0)",
]


@pytest.mark.parametrize(("sql", "message"), CONTRACTING)
def test_a_contraction_is_named_with_its_statement(sql: str, message: str) -> None:
    (found,) = contractions(f"SELECT 1;\n{sql};\n")
    assert message in found.text
    assert sql in found.text
    assert (found.first, found.last, found.excuse) == (2, 2, "")


@pytest.mark.parametrize("sql", EXPANDING)
def test_an_expansion_is_nothing_to_speak_of(sql: str) -> None:
    assert [each for each in contractions(sql) if each.excuse != "expands"] == []


def test_a_block_cannot_be_looked_into() -> None:
    (found,) = contractions("DO $$ BEGIN EXECUTE 'DROP TABLE a'; END $$;")
    assert "can't be checked" in found.text


def test_an_apostrophe_or_a_semicolon_in_a_comment_hides_nothing() -> None:
    (found,) = contractions("-- the buyer's; all\nDROP TABLE a;\n-- the provider's\nSELECT 'x';")
    assert (found.text, found.first, found.last) == ("drops a table: DROP TABLE a", 2, 2)


def test_what_is_declared_as_a_contraction_is_one_whatever_it_looks_like() -> None:
    (found,) = contractions(
        "-- contract: nobody reads it since 0.4\nDROP TRIGGER t ON a;\nSELECT 1;"
    )
    assert found.text == "declared as a contraction: DROP TRIGGER t ON a"


def test_a_reason_holds_for_one_statement_only() -> None:
    excused, other = contractions("-- expands: it is empty\nDROP TABLE a;\nDROP TABLE b;")
    assert (excused.excuse, other.excuse) == ("expands", "")
    assert other.text == "drops a table: DROP TABLE b"
    assert [each.excuse for each in contractions("-- expands:\nDROP TABLE a;")] == [""]


@pytest.mark.parametrize(("sql", "message"), CONTRACTING)
def test_who_judges_a_migration_and_who_judges_a_rollback_are_one(sql: str, message: str) -> None:
    sql = f"-- transactional: false\nSELECT 1;\n{sql};\n"
    assert any(message in each for each in migrations.contractions("0099_x", sql))
    assert "contract" in {finding.kind for finding in migrations.check_text("0099_x.sql", sql)}

    excused = sql.replace("SELECT 1;\n", "SELECT 1;\n-- expands: never written\n")
    assert migrations.contractions("0099_x", excused) == []
    assert "contract" not in {each.kind for each in migrations.check_text("0099_x.sql", excused)}


def test_what_only_squawk_minds_stands_against_a_rollback_too() -> None:
    sql = "ALTER TABLE a ALTER COLUMN b ADD GENERATED ALWAYS AS IDENTITY;\nALTER TABEL a;\n"
    assert any("syntax-error" in each for each in migrations.contractions("0099_x", sql))
