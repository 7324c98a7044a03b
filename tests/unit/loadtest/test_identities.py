"""Nobody buys a game twice, and no two users are the same person at a time."""

import stat
from pathlib import Path

import pytest

from loadtest.identities import (
    GAMES,
    Identity,
    IdentityPool,
    NoIdentityLeftError,
    read_tokens,
    write_tokens,
)


def test_a_person_buys_each_game_once() -> None:
    person = Identity("t")
    bought = [person.next_game() for _ in GAMES]
    assert sorted(filter(None, bought)) == sorted(GAMES)
    assert person.next_game() is None


def test_two_users_are_never_the_same_person() -> None:
    pool = IdentityPool(["a", "b"])
    assert {pool.take().token, pool.take().token} == {"a", "b"}
    with pytest.raises(NoIdentityLeftError, match="IDENTITIES_A_USER"):
        pool.take()


def test_a_person_comes_back_with_what_was_bought() -> None:
    pool = IdentityPool(["a"])
    person = pool.take()
    game = person.next_game()
    pool.give_back(person)
    again = pool.take()
    assert again.token == "a"
    assert game not in again.unowned


def test_a_person_who_owns_everything_does_not_come_back() -> None:
    pool = IdentityPool(["a"])
    person = pool.take()
    person.unowned.clear()
    pool.give_back(person)
    with pytest.raises(NoIdentityLeftError):
        pool.take()


def test_tokens_are_for_the_owner_of_the_file_only(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    write_tokens(path, ["a", "b"])
    assert read_tokens(path) == ["a", "b"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
