"""Too many requests at a time: who is refused, with what, and who is not counted."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from aiohttp import web

from service.errors import OverloadedError
from service.metrics import Metrics
from service.settings import Settings
from service.web import app_factory
from service.web.admission import LEAST_NEW, Admission, Kind, Place
from service.web.ops import METRICS
from tests.support.raw_http import connected, request
from tests.unit.service.web.sample_api import (
    Client,
    Connect,
    Echo,
    Slow,
    endpoint,
    in_memory,
    table,
)

WAIT_S = 5.0
Start = Callable[..., Awaitable[Client]]


@pytest.fixture
def start(settings: Settings, slow: Slow, log: Any, aiohttp_client: Connect) -> Start:
    """Give a function that starts the sample API; keyword arguments are settings."""
    assert log() == []
    begins = endpoint("POST", "/v1/begin", slow.handle, begins=True, responses={200: Echo})

    async def connect(**changes: Any) -> Client:
        changed = msgspec.structs.replace(settings, **changes)
        metrics = Metrics(version="1", role="api")
        metrics.start_at_zero()
        endpoints = (*table(slow), begins)
        return await aiohttp_client(
            app_factory.build(changed, metrics, endpoints, quotas=in_memory())
        )

    return connect


def sample(app: web.Application | None, name: str, **labels: str) -> float:
    assert app is not None
    value = app[METRICS].registry.get_sample_value(name, labels)
    assert value is not None, name
    return value


async def status(client: Client, method: str, path: str) -> int:
    async with client.request(method, path) as answer:
        return answer.status


async def held(slow: Slow, client: Client, path: str = "/v1/slow") -> asyncio.Task[int]:
    """Start a request and return it when its handler waits."""
    slow.began.clear()
    task = asyncio.create_task(status(client, "POST", path))
    await asyncio.wait_for(slow.began.wait(), WAIT_S)
    return task


async def test_one_too_many_is_503_at_once_and_says_when(start: Start, slow: Slow) -> None:
    client = await start(http_max_in_flight=1)
    first = await held(slow, client)
    async with client.get("/v1/things") as answer:
        problem = await answer.json()
        assert (answer.status, problem["code"]) == (503, "overloaded")
        assert answer.headers["Retry-After"] == "1"
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert sample(client.app, "http_requests_in_flight_gauge", kind="any") == 1
    assert sample(client.app, "http_requests_shed_total", kind="any") == 1
    slow.go.set()
    assert await first == 200
    assert await status(client, "GET", "/v1/things") == 200
    assert sample(client.app, "http_requests_in_flight_gauge", kind="any") == 0


async def test_what_begins_something_new_is_refused_first(start: Start, slow: Slow) -> None:
    client = await start(http_max_in_flight=3)
    first = await held(slow, client, "/v1/begin")
    assert await status(client, "POST", "/v1/begin") == 503
    assert await status(client, "GET", "/v1/things") == 200
    assert sample(client.app, "http_requests_shed_total", kind="new") == 1
    assert sample(client.app, "http_requests_shed_total", kind="any") == 0
    slow.go.set()
    assert await first == 200


async def test_probes_are_answered_however_much_there_is_to_do(start: Start, slow: Slow) -> None:
    client = await start(http_max_in_flight=1)
    first = await held(slow, client)
    assert await status(client, "GET", "/health/live") == 200
    slow.go.set()
    assert await first == 200


@pytest.mark.parametrize("path", ["/v1/fail/declared", "/v1/fail/unforeseen", "/v1/nothing"])
async def test_an_error_gives_its_place_back(start: Start, path: str) -> None:
    client = await start(http_max_in_flight=1)
    assert await status(client, "POST", path) >= 400
    assert sample(client.app, "http_requests_in_flight_gauge", kind="any") == 0


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Give an event that is set when a request has left its place for its body."""
    event, leave = asyncio.Event(), Place.leave

    def observed(place: Place) -> None:
        leave(place)
        event.set()

    monkeypatch.setattr(Place, "leave", observed)
    return event


async def test_a_body_on_the_way_takes_no_place(start: Start, left: asyncio.Event) -> None:
    client = await start(http_max_in_flight=1)
    async with connected(str(client.make_url("/"))) as slow_client:
        head = request("POST", "/v1/raw", "Content-Length: 4")
        await slow_client.send(head + b"ab")
        await asyncio.wait_for(left.wait(), WAIT_S)
        assert await status(client, "GET", "/v1/things") == 200
        await slow_client.send(b"cd")
        assert (await slow_client.answer()).status == 200
    assert sample(client.app, "http_requests_in_flight_gauge", kind="any") == 0


async def test_a_body_that_comes_when_all_places_are_taken_is_refused(
    start: Start, slow: Slow, left: asyncio.Event
) -> None:
    client = await start(http_max_in_flight=1)
    async with connected(str(client.make_url("/"))) as slow_client:
        await slow_client.send(request("POST", "/v1/raw", "Content-Length: 4") + b"ab")
        await asyncio.wait_for(left.wait(), WAIT_S)
        first = await held(slow, client)
        await slow_client.send(b"cd")
        answer = await slow_client.answer()
        assert (answer.status, answer.problem["code"]) == (503, "overloaded")
    slow.go.set()
    assert await first == 200
    assert sample(client.app, "http_requests_in_flight_gauge", kind="any") == 0


class Time:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


TARGET_S = 0.25
LIMIT = 100


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def refused() -> list[Kind]:
    return []


@pytest.fixture
def admission(clock: Time, refused: list[Kind]) -> Admission:
    return Admission(LIMIT, TARGET_S, refused.append, clock)


def test_a_place_is_counted_once_whatever_happens_to_it(admission: Admission) -> None:
    place = Place(admission, "new")
    place.take()
    with suppress(ValueError), place.suspended():
        assert admission.in_flight == {"new": 0, "any": 0}
        raise ValueError("a body that is broken")
    place.leave()
    place.leave()
    assert admission.in_flight == {"new": 0, "any": 0}


def test_new_ones_count_against_both_limits(admission: Admission, refused: list[Kind]) -> None:
    for _ in range(40):
        admission.take("new")
    with pytest.raises(OverloadedError):
        admission.take("new")
    for _ in range(60):
        admission.take("any")
    with pytest.raises(OverloadedError):
        admission.take("any")
    assert refused == ["new", "any"]
    assert admission.in_flight == {"new": 40, "any": 100}


def serve(admission: Admission, clock: Time, *, took_s: float, many: int, seconds: float) -> int:
    """Serve `many` new ones at a time for a while, as far as they are taken; return the last."""
    end, taken = clock.now + seconds, 0
    while clock.now < end:
        taken = min(many, int(admission.limit("new")))
        times = [admission.take("new") for _ in range(taken)]
        clock.now += took_s
        for taken_at in times:
            admission.ended(taken_at, done=True)
            admission.release("new")
    return taken


def test_fewer_new_ones_are_taken_while_all_are_slow(admission: Admission, clock: Time) -> None:
    before = admission.limit("new")
    taken = serve(admission, clock, took_s=0.6, many=30, seconds=2)
    assert taken < 20 < before
    assert serve(admission, clock, took_s=0.6, many=30, seconds=20) == LEAST_NEW


def test_one_that_is_fast_shows_that_there_is_no_queue(admission: Admission, clock: Time) -> None:
    """Most of them are slow, as in a burst, or because of what they ask for."""
    before = admission.limit("new")
    for _ in range(20):
        times = [admission.take("new") for _ in range(30)]
        clock.now += 0.1
        for taken_at in times:
            admission.ended(taken_at, done=True)
            admission.release("new")
            clock.now += 0.05
    assert admission.limit("new") == before


def test_a_slow_one_alone_is_no_queue(admission: Admission, clock: Time) -> None:
    before = admission.limit("new")
    serve(admission, clock, took_s=2.0, many=LEAST_NEW, seconds=20)
    assert admission.limit("new") == before


def test_all_are_taken_again_within_seconds(admission: Admission, clock: Time) -> None:
    before = admission.limit("new")
    serve(admission, clock, took_s=0.6, many=30, seconds=20)
    serve(admission, clock, took_s=0.01, many=1, seconds=10)
    assert admission.limit("new") == before


def test_one_that_was_refused_tells_nothing_about_the_time(
    admission: Admission, clock: Time
) -> None:
    before = admission.limit("new")
    for _ in range(10):
        place = Place(admission, "new")
        place.take()
        clock.now += 1
        place.leave()
    assert admission.limit("new") == before


def fail(admission: Admission, clock: Time, *, took_s: float, many: int) -> None:
    """Let so many new ones fail at a time."""
    places = [Place(admission, "new") for _ in range(many)]
    for place in places:
        place.take()
    clock.now += took_s
    for place in places:
        place.ended(done=False)
        place.leave()


def test_those_that_fail_late_are_slow(admission: Admission, clock: Time) -> None:
    fail(admission, clock, took_s=15, many=30)
    assert admission.limit("new") < 30


def test_those_that_fail_at_once_do_not_look_fast(admission: Admission, clock: Time) -> None:
    serve(admission, clock, took_s=0.6, many=30, seconds=1)
    before = admission.limit("new")
    for _ in range(100):
        fail(admission, clock, took_s=0.01, many=1)
    assert admission.limit("new") == before < LIMIT / 3


def test_one_that_was_refused_when_its_body_came_tells_nothing(
    admission: Admission, clock: Time
) -> None:
    before = admission.limit("new")
    place = Place(admission, "new")
    place.take()
    place.leave()  # while its body is on the way
    for _ in range(LEAST_NEW + 1):
        admission.take("new")
    clock.now += 20
    place.ended(done=False)
    assert admission.limit("new") == before


@pytest.mark.usefixtures("slow")
async def test_orders_that_the_deadline_cuts_off_lower_the_limit(start: Start) -> None:
    client = await start(http_max_in_flight=100, http_new_target_s=0.001, request_timeout_s=0.05)
    before = sample(client.app, "http_requests_in_flight_limit_gauge", kind="new")
    waiting = [
        asyncio.create_task(status(client, "POST", "/v1/begin")) for _ in range(LEAST_NEW + 4)
    ]
    assert set(await asyncio.gather(*waiting)) == {503}
    assert sample(client.app, "http_requests_in_flight_limit_gauge", kind="new") < before


async def test_the_limit_of_new_ones_falls_when_they_are_slow(start: Start, slow: Slow) -> None:
    client = await start(http_max_in_flight=100, http_new_target_s=0.001)
    before = sample(client.app, "http_requests_in_flight_limit_gauge", kind="new")
    waiting = [await held(slow, client, "/v1/begin") for _ in range(LEAST_NEW + 4)]
    assert sample(client.app, "http_requests_in_flight_gauge", kind="new") == len(waiting)
    slow.go.set()
    assert set(await asyncio.gather(*waiting)) == {200}
    assert sample(client.app, "http_requests_in_flight_limit_gauge", kind="new") < before
