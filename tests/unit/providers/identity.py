"""A fake identity service on loopback."""

import asyncio
import json
from urllib.parse import parse_qs

import pytest
import uvloop

from tests.e2e.upstream import Upstream, respond

SECRET = "MARKERSECRET0123456789"


class Identity(Upstream):
    """Answers in turn, the last again and again."""

    def __init__(self, *behaviours):
        self.behaviours = list(behaviours)
        super().__init__("identity")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def forms(self):
        return [{name: value for name, (value,) in parse_qs(each.body.decode()).items()} for each in self.requests]

    def _check(self, received, length, coding):
        """An identity service is told secrets; each test asserts which."""

    def _behaviour(self, received):
        return self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]


def says(value, status=200):
    return respond(status, json.dumps(value).encode())


def granted(value="tok-1", **more):
    return says({"token_type": "Bearer", "expires_in": 3600, "access_token": value, **more})


@pytest.fixture
def identity():
    """Makes fakes, and stops them; what failed inside them is a failure."""
    made = []

    def make(*behaviours):
        made.append(Identity(*behaviours))
        return made[-1]

    yield make
    for each in made:
        each.stop()
        assert each.violations == []


def run(coroutine):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coroutine)
