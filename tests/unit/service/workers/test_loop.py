"""A worker's rounds: which of them count."""

import asyncio

from service.workers.loop import Worker, run


async def test_only_a_round_without_an_error_counts() -> None:
    stop, rounds, counted = asyncio.Event(), [0], [0]

    async def fail_twice_then_stop() -> int:
        rounds[0] += 1
        if rounds[0] <= 2:
            raise RuntimeError("the database is away")
        stop.set()
        return 1

    def succeeded(worker: Worker) -> None:
        assert worker.name == "test"
        counted[0] += 1

    await asyncio.wait_for(run(Worker("test", fail_twice_then_stop, 0.001), stop, succeeded), 30)
    assert (rounds, counted) == ([3], [1])
