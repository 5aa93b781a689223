"""A fake service on loopback, scripted, and what all tests of services share."""

import asyncio
import json
import traceback

import pytest
import uvloop

from extproc.moderation.api import About, Moderation, ModerationError, Text
from extproc.moderation.moderators import client
from extproc.policy.api import Phase, Scope
from tests.e2e.upstream import Upstream, respond

SECRET = "jane.doe@example.com"
KEY = "sk-MARKERKEY0123456789"
USER = Text.of(Scope.USER, f"Hello {SECRET}")
ASSISTANT = Text.of(Scope.ASSISTANT, "Hi there")
QUESTION = About(Phase.REQUEST, "req-1")
ANSWER = About(Phase.RESPONSE, "req-2")


class Fake(Upstream):
    """Answers in turn, the last again and again; ``seen`` gives the JSON of each request."""

    def __init__(self, *behaviours, tls=None):
        self.behaviours = list(behaviours)
        super().__init__("service", tls)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def seen(self):
        return [each.json() for each in self.requests]

    def _check(self, received, length, coding):
        """A service is told more than a provider; each test asserts what."""

    def _behaviour(self, received):
        return self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]


def says(value, status=200):
    """Answers with JSON."""
    return respond(status, json.dumps(value).encode())


@pytest.fixture
def fake():
    """Makes fakes, and stops them; what failed inside them is a failure."""
    made = []

    def make(*behaviours, tls=None):
        made.append(Fake(*behaviours, tls=tls))
        return made[-1]

    yield make
    for each in made:
        each.stop()
        assert each.violations == []


def run(coroutine, loop=uvloop.new_event_loop):
    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(coroutine)


def judged(moderation, texts=(USER,), about=QUESTION, loop=uvloop.new_event_loop):
    """One judgement by a client of its own."""

    async def main():
        moderator = client(moderation)
        try:
            return await moderator.judge(texts, about)
        finally:
            await moderator.aclose()

    return run(main(), loop)


def describe(service, url, **more):
    """A description with a key and a deadline that tests do not reach unless they mean to."""
    return Moderation(**({"service": service, "url": url, "keys": (KEY,), "deadline": 10.0} | more))


def failure(moderation, texts=(USER,), about=QUESTION):
    """The error a judgement ends in; nothing of the content or the key is in it."""
    with pytest.raises(ModerationError) as caught:
        judged(moderation, texts, about)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(moderation)
    assert SECRET not in shown
    assert KEY not in shown
    assert caught.value.__context__ is None or isinstance(caught.value.__context__, TimeoutError)
    return caught.value
