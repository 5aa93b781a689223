"""Threads for code that may never come back: bounded, replaced, and no reason for others to wait."""

import asyncio
import threading

import pytest

from extproc.threads import SIZE, STUCK_EACH, STUCK_MOST, StuckError, Threads


class Endless:
    """Code that returns when it is let."""

    def __init__(self):
        self.begun = threading.Semaphore(0)
        self.let = threading.Event()

    def __call__(self):
        self.begun.release()
        self.let.wait()
        return "late"

    async def give_up(self, threads, owner, deadline=0.0):
        """Run it, and stop waiting once it runs."""
        task = asyncio.ensure_future(threads.run(owner, "own", deadline, self))
        await asyncio.to_thread(self.begun.acquire)
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
def endless():
    code = Endless()
    yield code
    code.let.set()


def test_what_work_returns_or_raises_is_told():
    async def run():
        threads = Threads()
        assert await threads.run("a", "a", 1.0, lambda: 7) == 7
        for raised, seen in ((ValueError, ValueError), (StopIteration, RuntimeError), (SystemExit, RuntimeError)):

            def work(error=raised):
                raise error("x")

            with pytest.raises(seen):
                await threads.run("a", "a", 1.0, work)
        assert await threads.run("a", "a", 1.0, lambda: 8) == 8
        threads.close()

    asyncio.run(run())


def test_a_stuck_owner_is_cut_off_and_others_go_on(endless):
    told = []

    async def run():
        threads = Threads(lambda *said: told.append(said))
        for _ in range(STUCK_EACH):
            await endless.give_up(threads, "bad")
        assert told == [("own", count + 1) for count in range(STUCK_EACH)]
        assert threads.stuck == STUCK_EACH
        with pytest.raises(StuckError):
            await threads.run("bad", "own", 1.0, lambda: 1)
        calls = [threads.run("good", "good", 1.0, lambda: 2) for _ in range(3 * SIZE)]
        assert await asyncio.gather(*calls) == [2] * 3 * SIZE
        endless.let.set()
        while threads.stuck:
            await threads.run("good", "good", 1.0, lambda: 2)
        assert await threads.run("bad", "own", 1.0, lambda: 3) == 3
        threads.close()

    asyncio.run(run())


def test_a_call_that_nobody_waits_for_is_not_stuck_before_its_deadline(endless):
    async def run():
        threads = Threads(clock=lambda: 0.0)
        for _ in range(SIZE - 1):
            await endless.give_up(threads, "slow", deadline=1000.0)
        assert threads.stuck == 0
        endless.let.set()
        assert await threads.run("slow", "slow", 1.0, lambda: 1) == 1
        threads.close()

    asyncio.run(run())


def test_a_call_that_never_began_is_dropped(endless):
    async def run():
        threads = Threads()
        busy = [asyncio.ensure_future(threads.run("a", "a", 1.0, endless)) for _ in range(SIZE)]
        for _ in range(SIZE):
            await asyncio.to_thread(endless.begun.acquire)
        ran = []
        waiting = asyncio.ensure_future(threads.run("b", "b", 0.0, lambda: ran.append(1)))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        endless.let.set()
        assert await asyncio.gather(*busy) == ["late"] * SIZE
        assert await threads.run("a", "a", 1.0, lambda: 1) == 1
        assert (ran, threads.stuck) == ([], 0)
        threads.close()

    asyncio.run(run())


def test_stuck_threads_have_a_cap(endless):
    async def run():
        before = threading.active_count()
        threads = Threads()
        for owner in range(SIZE + STUCK_MOST):
            await endless.give_up(threads, owner)
        assert threads.stuck == SIZE + STUCK_MOST
        assert threading.active_count() <= before + SIZE + STUCK_MOST + 32  # those of asyncio.to_thread
        with pytest.raises(StuckError):
            await threads.run("new", "new", 1.0, lambda: 1)
        endless.let.set()
        while threads.stuck:
            await asyncio.to_thread(lambda: None)
        assert await threads.run("new", "new", 1.0, lambda: 1) == 1
        threads.close()

    asyncio.run(run())


def test_closed_threads_run_nothing():
    async def run():
        threads = Threads()
        threads.close()
        with pytest.raises(StuckError):
            await threads.run("a", "a", 1.0, lambda: 1)

    asyncio.run(run())
