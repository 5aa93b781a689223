"""Usage that the client did not ask for, in both lanes, however the stream is cut."""

import orjson
import pytest

from extproc import events
from extproc.exchange.forward import UPSTREAM
from extproc.exchange.router import RouterExchange
from tests.e2e.foreign import CHAT, CHAT_USED
from tests.unit.exchange.support import CONFIG, chat, chat_headers, compiled, runtime

EVENTS = CHAT.stream("Hello ", "you.")
RAW = b"".join(EVENTS)
HIDDEN = b"".join(each for each in EVENTS if each != CHAT_USED)


@pytest.fixture(scope="module", params=["guarded", "unguarded"])
def lane(request, tmp_path_factory):
    if request.param == "guarded":
        return runtime()
    return compiled(CONFIG.partition("policies:")[0], tmp_path_factory.mktemp("lane"))


def told(lane, pieces, options):
    exchange = RouterExchange(lane)
    exchange.receive(chat_headers())
    (effect,) = exchange.receive(events.RequestBody(chat("Hi", stream=True, **options), True))
    sent = orjson.loads(effect.body if effect.body is not None else chat("Hi", stream=True, **options))
    assert sent["stream_options"]["include_usage"] is True
    said = {UPSTREAM: {"backend": "main", "attempts": 1.0, "format": "openai-chat"}}
    headers = {":status": "200", "content-type": "text/event-stream"}
    effects = exchange.receive(events.ResponseHeaders(headers, False, {"response.code_details": "via_upstream"}, said))
    for number, piece in enumerate(pieces):
        effects += exchange.receive(events.ResponseBody(piece, number == len(pieces) - 1))
    assert exchange.answered
    assert exchange.finish().tokens["output"] == 7
    return b"".join(each.body for each in effects if isinstance(each, events.Send))


ASKED = {"stream_options": {"include_usage": True}}


@pytest.mark.parametrize(("options", "wanted"), [({}, HIDDEN), (ASKED, RAW)], ids=["unasked", "asked"])
def test_every_cut(lane, options, wanted):
    assert told(lane, [RAW], options) == wanted
    assert told(lane, [RAW[at : at + 1] for at in range(len(RAW))], options) == wanted
    for at in range(1, len(RAW), 3 if options else 1):
        assert told(lane, [RAW[:at], RAW[at:]], options) == wanted


def test_what_else_the_last_event_says_stays(lane):
    more = {"x_groq": {"id": "req_1"}, "citations": ["https://a.b"], "system_fingerprint": "fp"}
    value = orjson.loads(CHAT_USED.removeprefix(b"data: "))
    full = b"id: 7\ndata: " + orjson.dumps(value | more) + b"\n\n"
    rest = (
        b"id: 7\ndata: "
        + orjson.dumps({name: each for name, each in value.items() if name != "usage"} | more)
        + b"\n\n"
    )
    raw, wanted = (RAW.replace(CHAT_USED, each) for each in (full, rest))
    for size in (1, 5, len(raw)):
        assert told(lane, [raw[at : at + size] for at in range(0, len(raw), size)], {}) == wanted
    assert told(lane, [raw], ASKED) == raw


def test_what_says_nothing_goes_with_it(lane):
    value = orjson.loads(CHAT_USED.removeprefix(b"data: "))
    nothing = {
        "x_groq": None,
        "citations": [],
        "system_fingerprint": "fp",
        "service_tier": "default",
        "obfuscation": "xx",
    }
    raw = RAW.replace(CHAT_USED, b"data: " + orjson.dumps(value | nothing) + b"\n\n")
    assert told(lane, [raw], {}) == HIDDEN


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\r\r", b"\n\n"])
def test_other_line_ends(lane, end):
    raw, wanted = RAW.replace(b"\n\n", end), HIDDEN.replace(b"\n\n", end)
    for at in range(1, len(raw), 7):
        assert told(lane, [raw[:at], raw[at:]], {}) == wanted
