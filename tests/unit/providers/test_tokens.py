"""Tokens kept fresh: when they are fetched again, who gets them, and what happens when they cannot be had."""

import asyncio
import datetime
from dataclasses import dataclass, field

import pytest
import uvloop

from extproc.providers.api import NotReady
from extproc.providers.credentials import Bearer, Held, Token
from extproc.providers.fetch import FetchError
from extproc.providers.tokens import Tokens

FOREVER = 4e9
LATER = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)


class Clock:
    """Time that passes only when somebody sleeps and the test lets him."""

    def __init__(self):
        self.now = 1000.0
        self.slept = []
        self._wakes = asyncio.Queue()

    async def sleep(self, seconds):
        self.slept.append(seconds)
        await self._wakes.get()
        self.now += seconds

    async def pass_(self):
        """Let one sleeper wake, and wait until somebody sleeps again."""
        before = len(self.slept)
        self._wakes.put_nowait(None)
        while len(self.slept) == before:
            await asyncio.sleep(0)


@dataclass(frozen=True)
class Source:
    """Gives or raises, in turn; the last again and again. Equal by name."""

    name: str
    results: list = field(compare=False)
    asked: list = field(default_factory=list, compare=False)

    async def fetch(self, ca):
        self.asked.append(ca)
        result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        if isinstance(result, Exception):
            raise result
        if result is None:
            await asyncio.Event().wait()
        return result


def token(name, expires=FOREVER):
    return Token((name,), expires)


def value(held):
    return Bearer(held).headers("POST", "h", "/p", b"", LATER)[0][1]


def playing(scenario):
    """Run a scenario with tokens on a clock; what was told comes back."""

    async def main():
        clock, told = Clock(), []
        tokens = Tokens(lambda providers, why: told.append((providers, why)), clock.sleep, lambda: clock.now)
        try:
            await scenario(tokens, clock)
        finally:
            await tokens.aclose()
        return told, clock

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


def test_a_token_is_there_when_the_configuration_is_in_force():
    held = Held("p", Source("s", [token("one")]))

    async def scenario(tokens, clock):
        await tokens.keep([held], "ca.pem", 60)
        assert value(held) == "Bearer one"

    told, _ = playing(scenario)
    assert told == [("p", "")]
    assert held.source.asked == ["ca.pem"]


@pytest.mark.parametrize(("lifetime", "after"), [(3600, 3300), (86400, 86100), (400, 200), (60, 30), (0.5, 1), (-9, 1)])
def test_it_is_fetched_again_before_it_expires(lifetime, after):
    source = Source("s", [token("one", 1000 + lifetime), token("two")])
    held = Held("p", source)

    async def scenario(tokens, clock):
        await tokens.keep([held], "", 60)
        await clock.pass_()
        assert value(held) == "Bearer two"

    _, clock = playing(scenario)
    assert clock.slept[0] == pytest.approx(after)
    assert len(source.asked) == 2


def test_a_source_that_fails_is_asked_again_ever_more_seldom():
    source = Source("s", [*[FetchError("no")] * 8, token("one", 1000 + 1e6), FetchError("again"), FetchError("again")])
    held = Held("p", source)

    async def scenario(tokens, clock):
        await tokens.keep([held], "", 60)
        with pytest.raises(NotReady):
            value(held)
        for _ in range(10):
            await clock.pass_()

    told, clock = playing(scenario)
    assert clock.slept[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert clock.slept[9:] == [1, 2]
    assert told == [("p", "no")] * 8 + [("p", "")] + [("p", "again")] * 2


def test_the_last_token_serves_while_its_source_fails():
    held = Held("p", Source("s", [token("one"), FetchError("no")]))

    async def scenario(tokens, clock):
        await tokens.keep([held], "", 60)
        await clock.pass_()
        assert value(held) == "Bearer one"

    assert playing(scenario)[0] == [("p", ""), ("p", "no")]


def test_a_bug_does_not_end_the_loop_and_quotes_nothing():
    held = Held("p", Source("s", [ValueError("SECRET"), token("one")]))

    async def scenario(tokens, clock):
        await tokens.keep([held], "", 60)
        await clock.pass_()
        assert value(held) == "Bearer one"

    assert playing(scenario)[0] == [("p", "internal error (ValueError)"), ("p", "")]


def test_equal_sources_are_asked_once_and_a_reload_keeps_their_token():
    first, second, third = (Held(name, Source("s", [token(f"of {name}")])) for name in "abc")

    async def scenario(tokens, clock):
        await tokens.keep([first, second], "", 60)
        assert value(first) == value(second) == "Bearer of a"
        await tokens.keep([third], "", 60)
        assert value(third) == "Bearer of a"

    assert playing(scenario)[0] == [("a, b", "")]
    assert second.source.asked == third.source.asked == []


def test_what_nobody_needs_any_more_is_not_fetched():
    gone, other = Held("p", Source("s", [token("one")])), Held("q", Source("t", [token("two")]))

    async def scenario(tokens, clock):
        await tokens.keep([gone], "", 60)
        await tokens.keep([other], "", 60)
        await clock.pass_()

    told, _ = playing(scenario)
    assert [providers for providers, _ in told] == ["p", "q", "q"]


def test_a_source_that_does_not_answer_holds_nobody_up():
    slow, quick = Held("p", Source("s", [None])), Held("q", Source("t", [token("two")]))

    async def scenario(tokens, clock):
        await tokens.keep([slow, quick], "", 0.05)
        assert value(quick) == "Bearer two"
        with pytest.raises(NotReady):
            value(slow)

    assert playing(scenario)[0] == [("q", "")]


def test_without_anything_to_fetch_nothing_waits():
    async def scenario(tokens, clock):
        await tokens.keep([], "", 60)

    assert playing(scenario)[0] == []
