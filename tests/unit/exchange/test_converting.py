"""Answers in another format than the client's, through the whole exchange: good and broken ones, cut anywhere."""

import random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc import events
from extproc.exchange.forward import UPSTREAM
from extproc.exchange.router import RouterExchange
from tests.e2e.foreign import SHAPES, SSE
from tests.e2e.tongues import TONGUES
from tests.unit.exchange.support import chat_headers, runtime

FORMATS = {name: tongue.format for name, tongue in TONGUES.items()}
WAYS = [(source, target) for source in SHAPES for target in TONGUES if source != target]
BLOCKED = "forbidden phrase"


def asked(target, *, stream=True):
    """An exchange whose request is on its way."""
    tongue = TONGUES[target]
    exchange = RouterExchange(runtime())
    exchange.receive(chat_headers(**{":path": tongue.path("smart", stream=stream)}))

    (effect,) = exchange.receive(events.RequestBody(orjson.dumps(tongue.body("smart", "Hi", stream=stream)), True))
    assert isinstance(effect, events.ContinueBody)
    return exchange


def answer(source, target, pieces, *, media=None, status=200, stream=True):
    """Status, body and exchange for an answer in these pieces."""
    exchange = asked(target, stream=stream)
    headers = {":status": str(status), "content-type": SHAPES[source].media if media is None else media}
    said = {UPSTREAM: {"backend": "x", "attempts": 1.0, "format": FORMATS[source]}}
    effects = exchange.receive(events.ResponseHeaders(headers, False, {"response.code_details": "via_upstream"}, said))
    for number, piece in enumerate(pieces):
        if not exchange.answered:
            effects += exchange.receive(events.ResponseBody(piece, number == len(pieces) - 1))
    assert exchange.answered
    for each in effects:
        if isinstance(each, events.Respond):
            assert len(effects) == 1
            return each.status, each.body, exchange
    body = b"".join(each.body for each in effects if isinstance(each, events.Send))
    (told,) = (dict(each.mutation.set) for each in effects if isinstance(each, events.ContinueResponse))
    return int(told.get(":status", status)), body, exchange


def broken(shape):
    """An event that cannot be read."""
    good = shape.text("later")
    return b"data: {nonsense\n\n" if shape.media == SSE else good[:-1] + bytes([good[-1] ^ 1])


def streams(source):
    """Streams by what is wrong with them."""
    shape = SHAPES[source]
    begun = [*shape.opening, shape.text("Hello there, "), shape.text("I am jane@exam")]
    return {
        "good": shape.stream("Hello there, I am ja", "ne@example.com", "."),
        "broken": [*begun, broken(shape), *shape.closing],
        "half": [*begun, shape.text("ple.com and all")[:-9]],
        "failed": [*begun, shape.failure("overloaded"), *shape.closing],
        "ended": begun,
        "blocked and broken": [*begun, shape.text(f" {BLOCKED} "), broken(shape)],
    }


@pytest.mark.parametrize("what", ["good", "broken", "half", "failed", "ended", "blocked and broken"])
@pytest.mark.parametrize(("source", "target"), WAYS)
def test_cuts_change_nothing(source, target, what):
    """The law: whole, byte by byte and cut anywhere, the client gets the same text and the same end."""
    raw = b"".join(streams(source)[what])
    whole = understood(source, target, [raw])
    assert understood(source, target, [raw[at : at + 1] for at in range(len(raw))]) == whole
    random_ = random.Random(f"{source} {target} {what}")
    for _ in range(5):
        cuts = sorted(random_.sample(range(1, len(raw)), 4))
        pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
        assert understood(source, target, pieces) == whole
    said, code = whole
    if what in ("broken", "half"):
        assert "jane" not in said.text  # it may have been the beginning of an address
    if what == "good":
        assert (said.text, said.error, code) == ("Hello there, I am [email].", None, "")
    else:
        assert said.text.startswith("Hello there, ")
        assert said.error
        wanted = {"broken": "upstream_malformed", "half": "upstream_malformed", "blocked and broken": "words"}
        assert code == wanted.get(what, "")


def understood(source, target, pieces):
    status, body, exchange = answer(source, target, pieces)
    assert status == 200, body
    return TONGUES[target].stream(body), exchange.finish().error


@pytest.mark.parametrize(("source", "target"), WAYS)
@given(data=st.data())
def test_bytes_that_mean_nothing(source, target, data):
    """Any bytes give an answer, an error in the client's format or a stream that ends: nothing else, nothing hangs."""
    shape = SHAPES[source]
    raw = bytearray(b"".join(shape.stream("Hello there.")))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    status, body, _ = answer(source, target, [bytes(raw)])
    if status == 200:
        TONGUES[target].stream(body)
    else:
        assert TONGUES[target].error(orjson.loads(body))


@pytest.mark.parametrize("status", [200, 201, 204, 299, 400, 418, 500, 529])
@pytest.mark.parametrize(("source", "target"), WAYS)
def test_whole_answers_that_are_none(source, target, status):

    for body in (b"", b"<html>", b"null", b"[]", b'{"x": 1}', b'{"error": "jane"}', b'{"choices": [3]}'):
        got, said, exchange = answer(source, target, [body], status=status, media="text/html", stream=False)
        client = status if target == "anthropic" or status != 529 else 503
        assert got == (client if status >= 400 else 502)
        assert TONGUES[target].error(orjson.loads(said))
        assert exchange.answered
