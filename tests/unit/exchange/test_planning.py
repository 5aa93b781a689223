"""What upstream filters are told, and plans that are remembered."""

from dataclasses import replace

import pytest

from extproc import events
from extproc.exchange.forward import DECISION
from extproc.exchange.planning import Wanted, plan
from extproc.exchange.router import RouterExchange
from tests.unit.exchange.support import chat, chat_headers, runtime


def test_upstream_filters_are_told_what_is_wanted():
    exchange = RouterExchange(runtime())
    exchange.receive(chat_headers(**{"anthropic-beta": "one, two"}))
    body = chat("hello", model="smart", stream=True)
    (effect,) = exchange.receive(events.RequestBody(body, True))
    told = effect.mutation.metadata[DECISION]
    assert told == {
        "group": runtime().group("smart").slug,
        "length": len(body) if effect.body is None else len(effect.body),
        "media": "application/json",
        "operation": "chat",
        "format": "openai-chat",
        "model": "smart",
        "stream": True,
        "betas": "one,two",
    }
    assert Wanted.heard(told) == Wanted("chat", "openai-chat", "smart", stream=True, betas=("one", "two"))


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted("chat", "openai-chat", "m", stream=False),
        Wanted("chat", "gemini", "m", stream=True, named=False, sealed=True),
        Wanted("chat", "anthropic-messages", "m", stream=False, betas=("a", "b-2")),
    ],
)
def test_what_is_told_is_what_is_heard(wanted):
    assert Wanted.heard(wanted.told()) == wanted


def test_plans_are_remembered_but_not_without_end():
    (backend,) = runtime().group("gpt-x").backends
    wanted = [Wanted("chat", "openai-chat", f"m{number}", stream=False) for number in range(500)]
    assert plan(backend, wanted[0]) is plan(backend, wanted[0])
    assert all(plan(backend, each) == plan(replace(backend), each) for each in wanted)
    assert len(backend.plans) < 100
    long = Wanted("chat", "openai-chat", "m", stream=False, betas=("x" * 1000,))
    assert plan(backend, long) == plan(backend, long)
    assert plan(backend, long) is not plan(backend, long)
    assert plan(backend, Wanted("speech", "openai-audio", "m", stream=False)) != plan(backend, wanted[0])
