"""Who serves under which number, when workers die while others are being replaced."""

import asyncio
import io
import time
from pathlib import Path

import pytest

from extproc.config.load import load
from extproc.errors import StartupError
from extproc.metrics import Totals
from extproc.pool import Pool
from extproc.telemetry import Log


class Fake:
    """A worker that does what it is told, and dies when it is told to."""

    def __init__(self, pool):
        self.pool = pool
        self.process = self
        self.channel = self
        self.pid = id(self)
        self.began = self.seen = time.monotonic()
        self.generation = self.prepared = 1
        self.told = []
        self.may_start = asyncio.Event()
        self.may_start.set()
        self.ended = asyncio.Event()
        self.failure = None

    living = property(lambda self: not self.ended.is_set())
    ready = property(lambda self: self.may_start.is_set() and self.failure is None)

    async def started(self):
        await self.may_start.wait()
        if self.failure:
            raise self.failure

    async def listening(self):
        await until(lambda: "listen" in self.told)

    async def wait(self):
        await self.ended.wait()
        return -9

    def send(self, **message):
        self.told.append(message["op"])
        if message["op"] == "stop":
            self.ended.set()

    def kill(self):
        self.ended.set()


class Fakes(Pool):
    """A pool whose processes are fakes."""

    def __init__(self, folder, *, native=True):
        addresses = tuple(str(folder / f"w{number}.sock") for number in range(2))
        super().__init__(addresses, native, Log("json", io.StringIO()), Totals())
        self.spawned = []
        self.hold_next = False

    async def _spawn(self, number):
        fake = Fake(self)
        if self.hold_next:
            self.hold_next = False
            fake.may_start.clear()
        self.spawned.append(fake)
        self._all.add(fake)
        return fake


@pytest.fixture
def loaded(tmp_path: Path):
    path = tmp_path / "extproc.yaml"
    path.write_text("providers: {a: {type: openai-compatible, base_url: 'http://x/v1', keys: none}}\n")
    return load(path, {})


def run(main, pool, loaded):
    async def whole():
        await pool.start(loaded, 1)
        try:
            async with asyncio.timeout(10):
                await main()
        finally:
            await pool.stop(0)

    asyncio.run(whole())


async def until(condition):
    while not condition():
        await asyncio.sleep(0.005)


def listening(pool):
    return [each for each in pool.spawned if each.living and "listen" in each.told]


@pytest.mark.parametrize("victim", [0, 1])
def test_a_worker_that_dies_while_all_are_replaced(tmp_path, loaded, victim):
    pool = Fakes(tmp_path)

    async def main():
        await until(lambda: pool._spare is not None)
        before = list(pool._installed.values())
        pool.hold_next = True
        replacing = asyncio.ensure_future(pool.replace_all(1))
        await until(lambda: not pool.spawned[-1].may_start.is_set())
        before[victim].kill()
        await asyncio.sleep(0.02)
        pool.spawned[-1].may_start.set()
        await replacing
        await until(lambda: len(pool._installed) == 2)
        await asyncio.sleep(0.2)
        assert not set(before) & set(pool._installed.values())
        assert set(listening(pool)) == set(pool._installed.values()), "one serves whom nobody tells of reloads"

    run(main, pool, loaded)


def test_a_worker_that_has_no_successor_yet_is_left_to_it(tmp_path, loaded):
    pool = Fakes(tmp_path)

    async def main():
        await until(lambda: pool._spare is not None)
        first, second = pool._installed.values()
        pool.hold_next = True
        replacing = asyncio.ensure_future(pool.replace_all(1))
        await until(lambda: pool.hold_next is False)
        fresh = pool.spawned[-1]
        pool._spare.kill()
        pool.hold_next = True
        second.kill()
        await until(lambda: pool.hold_next is False)
        fresh.may_start.set()
        await replacing
        assert list(pool._installed.values()) == [fresh]
        assert not first.living
        for each in pool.spawned:
            each.may_start.set()
        await until(lambda: len(pool._installed) == 2)
        await asyncio.sleep(0.2)
        assert set(listening(pool)) == set(pool._installed.values())

    run(main, pool, loaded)


def test_a_new_worker_that_cannot_start_leaves_the_old_ones(tmp_path, loaded):
    pool = Fakes(tmp_path)

    async def main():
        await until(lambda: pool._spare is not None)
        before = dict(pool._installed)
        pool.hold_next = True
        replacing = asyncio.ensure_future(pool.replace_all(1))
        await until(lambda: not pool.spawned[-1].may_start.is_set())
        pool.spawned[-1].failure = StartupError("no")
        pool.spawned[-1].may_start.set()
        with pytest.raises(StartupError):
            await replacing
        assert pool._installed == before

    run(main, pool, loaded)


def test_workers_that_bind_addresses_are_not_waited_for(tmp_path, loaded):
    """Their successors bind as soon as the old ones have let go, however long those still have answers to end."""
    pool = Fakes(tmp_path, native=False)

    async def main():
        before = list(pool._installed.values())
        for each in before:
            each.send = lambda **message: None  # has answers that take long
        await pool.replace_all(600)
        assert not set(before) & set(pool._installed.values())
        assert all(each.living for each in before)

    run(main, pool, loaded)
