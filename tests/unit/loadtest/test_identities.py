"""Nobody buys a game twice, and no two users are the same person at a time."""

import pytest

from loadtest.identities import (
    GAMES,
    Identity,
    IdentityPool,
    NoIdentityLeftError,
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
    pool.release(person)
    again = pool.take()
    assert again.token == "a"
    assert game not in again.unowned


def test_a_person_who_owns_everything_does_not_come_back() -> None:
    pool = IdentityPool(["a"])
    person = pool.take()
    person.unowned.clear()
    pool.release(person)
    with pytest.raises(NoIdentityLeftError):
        pool.take()
