"""A marked request is answered by the filter itself, with a proof, and never goes on."""

import hashlib

import orjson
import pytest

from extproc import events
from extproc.events import Respond
from extproc.exchange.attest import MARK, proof, seen
from extproc.exchange.router import RouterExchange
from tests.unit.exchange.support import chat_headers, runtime

NONCE = "abcdefghijklmnop_-19"


def asked(headers, **more):
    exchange = RouterExchange(runtime(), **more)
    (effect,) = exchange.receive(headers)
    assert isinstance(effect, Respond)
    assert exchange.answered, "the exchange is over"
    return effect, exchange.finish()


@pytest.mark.parametrize(
    "changes",
    [
        {}, {":path": "/health/liveness"}, {":path": "/no/such/path"}, {":method": "GET"}, {"upgrade": "websocket"},
        {"content-type": "text/plain"}, {"content-encoding": "br"}, {"authorization": "Bearer a, Bearer b"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("end", [True, False])
def test_it_is_answered_whatever_else_is_wrong_with_it(changes, end):
    effect, record = asked(chat_headers(end, **{**changes, MARK: NONCE}))
    assert effect.status == 200
    expected = {
        "attached": True,
        "mode": "gateway",
        "generation": runtime().generation,
        "proof": proof(NONCE, "gateway"),
    }
    assert orjson.loads(effect.body) == expected
    assert (record.operation, record.status, record.end) == ("attest", 200, "complete")
    assert record.attested == seen(NONCE)


@pytest.mark.parametrize("nonce", ["", "short", "a" * 129, "with blank in the middle", "a" * 16 + ",b", "a" * 15 + "é"])
def test_a_mark_that_is_none_does_not_go_on_either(nonce):
    effect, record = asked(chat_headers(**{MARK: nonce}))
    assert effect.status == 400
    assert b"bad_attestation" in effect.body
    assert (nonce.encode() not in effect.body) or not nonce
    assert (record.end, record.attested) == ("refused", "")


def test_whatever_follows_is_ignored():
    exchange = RouterExchange(runtime())
    exchange.receive(chat_headers(**{MARK: NONCE}))
    assert exchange.receive(events.RequestBody(b"{}", True)) == []


def test_a_proof_is_of_one_word_and_one_mode():
    """The fixed form, so that probes and filters of different versions understand each other."""
    wanted = hashlib.sha256(b"llm-extproc attest proof\0" + NONCE.encode() + b"\0gateway").hexdigest()
    assert proof(NONCE, "gateway") == wanted
    assert len({proof(NONCE, "gateway"), proof(NONCE, "guard"), proof(NONCE + "x", "gateway"), seen(NONCE)}) == 4
    assert seen(NONCE) == hashlib.sha256(b"llm-extproc attest seen\0" + NONCE.encode()).hexdigest()
