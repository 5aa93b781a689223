"""A policy's own code as a judge: what it says, and what becomes of one that does not return."""

import asyncio
import io

import orjson
import pytest

from extproc.exchange.judging import Found, Question
from extproc.guard import Guard
from extproc.judges import Judges
from extproc.policy.api import Scope
from extproc.service import Service
from extproc.telemetry import Log
from extproc.threads import STUCK_EACH
from extproc.worker import Worker
from tests.unit.exchange.support import runtime

CODE = """
import threading
from extproc.plugin import *
BEGUN, LET = threading.Semaphore(0), threading.Event()

class Own:
    def inspect(self, texts, caller):
        said = texts[0].text
        if said == "wait":
            BEGUN.release()
            LET.wait()
        return {"block": Block("bad"), "audit": Audit("odd"), "mark": Redact([Mark(0, 1, 3, "word")]),
                "before": Redact([Mark(-1, 1, 3, "word")]), "after": Redact([Mark(1, 1, 3, "word")])}.get(said)
"""


@pytest.fixture
def policy(tmp_path):
    (tmp_path / "own.py").write_text(CODE)
    path = tmp_path / "extproc.yaml"
    path.write_text("processor: {python: true}\npolicies: {own: {kind: python, path: 'own.py:Own', deadline: 1ms}}")
    (found,) = Guard.load(path, environment={}).armed().moderated
    yield found
    names(found)["LET"].set()


def names(policy):
    return type(policy.moderation.code).inspect.__globals__


def asked(policy, text):
    return Question(policy, ((Scope.USER, text),))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("fine", Found()),
        ("block", Found(("bad",), blocks=True)),
        ("audit", Found(("odd",), watches=True)),
        ("mark", Found(("word",), (((1, 3, "[word]"),),))),
    ],
)
def test_what_it_says(policy, text, found):
    async def run():
        judges = Judges()
        assert await judges(asked(policy, text)) == found
        await judges.aclose()

    asyncio.run(run())


@pytest.mark.parametrize("text", ["before", "after"])
def test_marks_of_no_text_are_no_answer(policy, text):
    async def run():
        judges = Judges()
        with pytest.raises(IndexError):
            await judges(asked(policy, text))
        await judges.aclose()

    asyncio.run(run())


class Channel:
    """Takes what a worker tells its supervisor."""

    def __init__(self):
        self.sent = []

    def send(self, **message):
        self.sent.append(message)


def test_code_that_does_not_return_is_logged_and_counted_and_then_not_asked(policy):
    out, channel = io.StringIO(), Channel()

    async def run():
        worker = Worker(channel)
        service = worker._service = Service(runtime, Log("json", out), worker._counters, worker._judges)
        all_told = asyncio.Event()

        def told(name, count):
            worker._stuck(name, count)
            if count == STUCK_EACH:
                all_told.set()

        worker._judges._threads._told = told
        for _ in range(STUCK_EACH):
            task = asyncio.ensure_future(worker._judges(asked(policy, "wait")))
            await asyncio.to_thread(names(policy)["BEGUN"].acquire)
            task.cancel()
            await asyncio.wait([task])
        await all_told.wait()
        with pytest.raises(Exception, match="own"):
            await worker._judges(asked(policy, "fine"))
        worker._report(service)
        await worker._judges.aclose()

    asyncio.run(run())
    lines = [orjson.loads(line) for line in out.getvalue().splitlines()]
    assert [(line["policy"], line["threads"]) for line in lines] == [("own", str(n + 1)) for n in range(STUCK_EACH)]
    assert channel.sent[-1]["gauges"]["extproc_stuck_threads"] == STUCK_EACH
    assert (["extproc_faults", "stuck"], float(STUCK_EACH)) in channel.sent[-1]["alive"]
