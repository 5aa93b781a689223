"""Asking within limits: cut, batched, bounded, in time; and when the breaker counts a failure."""

import asyncio

import pytest

from extproc.moderation.api import About, Finding, Mark, ModerationError, Text
from extproc.moderation.chunks import Limits
from extproc.moderation.client import Client
from extproc.policy.api import Scope
from tests.unit.moderation.support import run

SMALL = Limits(texts=2, characters=10, total=15, overlap=2, calls=40)
OUTAGE = ModerationError("out", outage=True)
NONSENSE = ModerationError("nonsense")


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Scripted:
    """Finds ``bad`` in texts; ``does`` may wait or raise instead."""

    def __init__(self, limits=SMALL, does=None):
        self.limits = limits
        self.does = does
        self.calls = []
        self.at_once = self.most = 0
        self.closed = 0

    async def ask(self, texts, about):
        self.calls.append([each.text for each in texts])
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await asyncio.sleep(0)
            if self.does:
                await self.does(texts)
            return [self.find(each.text) for each in texts]
        finally:
            self.at_once -= 1

    def find(self, text):
        at = text.find("bad")
        return Finding(at >= 0, {"bad": float(at >= 0)}, (), (Mark(at, at + 3, "bad"),) if at >= 0 else ())

    async def aclose(self):
        self.closed += 1


def said(*texts):
    return [Text.of(Scope.USER, each) for each in texts]


def raises(*errors):
    waiting = list(errors)

    async def does(texts):
        if waiting and (error := waiting.pop(0)):
            raise error

    return does


async def hangs(texts):
    await asyncio.Event().wait()


def test_long_texts_are_cut_batched_and_put_together():
    service = Scripted()

    async def main():
        return await Client(service, 5.0).judge(said("12345678bad45678", "", "ok", "12345"), About())

    judgement = run(main())
    assert sorted(service.calls) == [["12345"], ["12345678ba"], ["bad45678", "ok"]]
    long, empty, *others = judgement.findings
    assert long.marks == (Mark(8, 11, "bad"),)
    assert (empty, [each.flagged for each in others]) == (Finding(), [False, False])


def test_calls_are_bounded_for_one_judgement_and_for_all():
    async def main(calls, judgements):
        service = Scripted()
        client = Client(service, 5.0, calls)
        await asyncio.gather(*(client.judge(said("x" * 300)) for _ in range(judgements)))
        return service.most, len(service.calls)

    assert run(main(100, 1)) == (8, 37)  # the last piece is short, and goes with the one before it
    assert run(main(5, 3)) == (5, 111)


def test_too_much_text_is_an_error_before_anybody_is_asked():
    service = Scripted()

    async def main():
        await Client(service, 5.0).judge(said("x" * 400))

    with pytest.raises(ModerationError, match="more text"):
        run(main())
    assert service.calls == []


def test_one_failed_call_fails_the_judgement_and_ends_the_others():
    async def does(texts):
        if "bad" in texts[0].text:
            raise NONSENSE
        await asyncio.Event().wait()

    service = Scripted(does=does)

    async def main():
        client = Client(service, 30.0)
        with pytest.raises(ModerationError, match="nonsense"):
            await client.judge(said("x" * 50 + "bad" + "x" * 50))
        return client.under_way

    assert run(main()) == 0
    assert service.at_once == 0


def test_an_answer_for_fewer_texts_is_an_error():
    service = Scripted()
    service.find = None

    async def ask(texts, about):
        return [Finding()] * (len(texts) - 1)

    service.ask = ask

    async def main():
        await Client(service, 5.0).judge(said("a", "b"))

    with pytest.raises(ModerationError, match="every text"):
        run(main())


def test_a_bug_in_a_service_passes_as_what_it_is():
    async def main():
        await Client(Scripted(does=raises(ZeroDivisionError())), 5.0).judge(said("a"))

    with pytest.raises(ZeroDivisionError):
        run(main())


async def ends(client, times, texts=("a",)):
    found = []
    for _ in range(times):
        try:
            await client.judge(said(*texts))
            found.append("ok")
        except ModerationError as error:
            found.append(str(error).split(" ")[0])
    return found


def test_outages_open_the_breaker_and_nonsense_does_not():
    clock = Clock()

    async def main():
        out = Scripted(does=raises(*[OUTAGE] * 6))
        client = Client(out, 5.0, clock=clock)
        assert await ends(client, 7) == ["out"] * 5 + ["the", "the"]
        assert len(out.calls) == 5
        clock.now += 5
        assert await ends(client, 2) == ["out", "the"]
        clock.now += 5
        assert await ends(client, 3) == ["ok"] * 3
        odd = Scripted(does=raises(*[NONSENSE] * 20))
        assert await ends(Client(odd, 5.0, clock=clock), 21) == ["nonsense"] * 20 + ["ok"]
        mixed = Scripted(does=raises(*[OUTAGE, OUTAGE, OUTAGE, OUTAGE, None] * 3))
        assert await ends(Client(mixed, 5.0, clock=clock), 15) == ["out", "out", "out", "out", "ok"] * 3

    run(main())


def test_slowness_counts_only_where_the_service_is_to_blame():
    async def main():
        short = Client(Scripted(does=hangs), 0.01)
        assert await ends(short, 6) == ["no"] * 5 + ["the"]
        long = Client(Scripted(does=hangs), 0.01)
        assert await ends(long, 8, ["x" * 100]) == ["no"] * 8

    run(main())


@pytest.mark.parametrize(("waited", "wanted"), [(5.0, "the"), (4.6, "the"), (0.1, "ok")])
def test_callers_that_give_up_count_only_at_the_deadline(waited, wanted):
    clock = Clock()

    async def main():
        service = Scripted(does=hangs)
        client = Client(service, 5.0, clock=clock)
        for _ in range(5):
            asked = asyncio.ensure_future(client.judge(said("a")))
            await asyncio.sleep(0.001)
            clock.now += waited
            asked.cancel()
            await asyncio.wait([asked])
            assert asked.cancelled()
        service.does = None
        return await ends(client, 1)

    assert run(main()) == [wanted]


def test_waiting_for_room_is_within_the_deadline():
    async def main():
        client = Client(Scripted(does=hangs), 0.05, calls=1)
        found = await asyncio.gather(*(client.judge(said("a")) for _ in range(3)), return_exceptions=True)
        assert [str(each) for each in found] == ["no answer within the deadline"] * 3
        await client.aclose()

    run(main())
