"""Migrations that change rows, on a database of the release before."""

import shutil
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from service.store import migrate

ANSWER = (
    '{"id":"x","status":"requires_action","next_action":'
    '{"type":"use_stripe_sdk","redirect_url":null,"client_secret":"pi_1_secret_2"}}'
)
ROW = (
    "INSERT INTO idempotency_keys (caller, key, fingerprint, resource_id, recovery_point,"
    " response_status, response_body, created_at)"
    " VALUES ('u', %s, '', gen_random_uuid(), 'finished', 201, %s, now())"
)


@pytest.fixture
def at_release(empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give a database without migration 0014 and what is built on it."""
    before = (path for path in migrate.MIGRATIONS.glob("*.sql") if path.stem < "0012")
    for path in before:
        shutil.copy(path, tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(migrate, "MIGRATIONS", tmp_path)
        migrate.apply(empty_database_url)
    return empty_database_url


def test_answers_of_the_release_before_lose_their_secrets(at_release: str) -> None:
    with closing(psycopg2.connect(at_release)) as connection, connection.cursor() as cursor:
        cursor.execute(ROW, ("waits", ANSWER))
        cursor.execute(ROW, ("other", '{"next_action":null,"b":1}'))
        connection.commit()
        migrate.apply(at_release)
        cursor.execute(
            "SELECT response_body, response_body::jsonb ->> 'status' FROM idempotency_keys"
            " ORDER BY key"
        )
        (other, _), (waits, status) = cursor.fetchall()
    assert other == '{"next_action":null,"b":1}'
    assert (status, "secret" in waits, '"next_action": null' in waits) == (
        "requires_action", False, True,
    )  # fmt: skip
