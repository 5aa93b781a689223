import asyncio
import io

import orjson
import pytest

from extproc import events, wire
from extproc._pb import ext_proc_pb2 as pb
from extproc.exchange.judging import Found
from extproc.service import Service, StreamFailed
from extproc.telemetry import Log
from tests.unit.exchange.support import chat, compiled, runtime


def headers(**values):
    message = pb.ProcessingRequest()
    for name, value in values.items():
        header = message.request_headers.headers.headers.add()
        header.key, header.raw_value = name.replace("_", ":"), value.encode()
    return message.SerializeToString()


def opened(filter_name="router", one=None):
    out = io.StringIO()
    return Service(lambda: one or runtime(), Log("json", out)).open(filter_name), out


def test_bytes_in_bytes_out():
    session, out = opened()
    turn = session.message(headers(_method="POST", _path="/nowhere"))
    answer = pb.ProcessingResponse.FromString(turn.messages[0])
    assert answer.immediate_response.status.code == 404
    assert not turn.close
    session.end()
    session.end()
    assert [orjson.loads(line)["error"] for line in out.getvalue().splitlines()] == ["unknown_operation"]


@pytest.mark.parametrize("data", [b"", b"\xff\xff", b"garbage"])
def test_what_is_no_message_fails_the_stream(data):
    session, _ = opened()
    with pytest.raises(StreamFailed, match=r"^llm-extproc: protocol error$"):
        session.message(data)


def test_an_unknown_filter_fails_the_stream():
    with pytest.raises(StreamFailed):
        opened("other")


@pytest.mark.parametrize("unnamed", ["guard", "shadow"])
def test_calls_that_do_not_say_which_filter_are_what_the_configuration_says(unnamed, tmp_path):
    with pytest.raises(StreamFailed):
        opened("")
    session, _ = opened("", compiled(f"guard: {{unnamed: {unnamed}}}", tmp_path))
    answers = session.message(headers(_method="POST", _path="/v1/chat/completions")).messages
    assert bool(answers) == (unnamed == "guard")  # a shadow has nothing to say
    session.end()


def test_any_exception_fails_the_stream_with_a_constant_text(monkeypatch):
    class Broken:
        @property
        def overrides(self):
            raise RuntimeError("secret prompt text")

        def __getattr__(self, name):
            return getattr(runtime(), name)

    session, out = opened(one=Broken())
    session.message(headers(_method="POST", _path="/v1/chat/completions"))
    body = pb.ProcessingRequest()
    body.request_body.body = chat("hello")
    with pytest.raises(StreamFailed, match=r"^llm-extproc: internal error$"):
        session.message(body.SerializeToString())
    assert "secret" not in out.getvalue()
    assert "RuntimeError at test_service.py" in out.getvalue()


def test_the_upstream_filter_closes_after_its_one_message():
    from extproc.exchange.forward import DECISION
    from extproc.exchange.planning import Wanted
    from extproc.exchange.upstream import BACKEND

    session, out = opened("upstream")
    message = pb.ProcessingRequest()
    message.request_headers.SetInParent()
    message.attributes["envoy.filters.http.ext_proc"].update(
        {BACKEND: next(each.id for each in runtime().backends.values() if each.name == "main")}
    )
    message.metadata_context.filter_metadata[DECISION].update(Wanted("chat", "openai-chat", "gpt-x", False).told())
    turn = session.message(message.SerializeToString())
    assert turn.close
    assert len(turn.messages) == 1
    session.end()
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    "effect",
    [
        events.ContinueRequest(
            events.Mutation(set=(("a", "b"),), remove=("c",), reroute=True, metadata={"n": {"k": 1}})
        ),
        events.ContinueBody(b"x"),
        events.ContinueBody(),
        events.ContinueResponse(),
        events.Send(b"", True),
        events.Send(b"x", False, {"n": {"k": "v"}}),
        events.DropTrailers(True, ("a",)),
        events.DropTrailers(False, ()),
        events.Respond(400, (("a", "b"),), b"{}", "llm_x"),
    ],
)
def test_every_effect_is_a_message_of_its_own_kind(effect):
    message = pb.ProcessingResponse.FromString(wire.encode(effect))
    expected = {
        events.ContinueRequest: "request_headers",
        events.ContinueBody: "request_body",
        events.ContinueResponse: "response_headers",
        events.Send: "response_body",
        events.Respond: "immediate_response",
    }.get(type(effect)) or ("request_trailers" if effect.request else "response_trailers")
    assert message.WhichOneof("response") == expected


def test_repeated_headers_are_joined():
    message = pb.ProcessingRequest()
    for value in (b"Bearer a", b"Bearer b"):
        header = message.request_headers.headers.headers.add()
        header.key, header.raw_value = "Authorization", value
    assert wire.decode(message.SerializeToString()).headers == {"authorization": "Bearer a,Bearer b"}


WATCHED = """
providers: {main: {type: openai-compatible, base_url: "http://127.0.0.1:1/v1", keys: env:MAIN_KEY}}
models: {"*": main}
policies:
  watch: {kind: moderation, service: openai, url: "http://127.0.0.1:9/v1", phase: request, mode: audit}
"""


async def ended(judge, tmp_path, *, stop=False):
    """A session whose client has left while a service that only watches is asked; the records, before and after it."""
    out, one = io.StringIO(), compiled(WATCHED, tmp_path)
    service = Service(lambda: one, Log("json", out), judge=judge)
    ticking = asyncio.ensure_future(service.tick_forever())
    await asyncio.sleep(0)
    session = service.open("router")
    session.message(headers(_method="POST", _path="/v1/chat/completions"))
    body = pb.ProcessingRequest()
    body.request_body.body = chat("hello")
    session.message(body.SerializeToString())
    await asyncio.sleep(0.01)
    session.end()
    before = out.getvalue()
    if stop:
        await service.aclose()
    while '"event":"exchange"' not in out.getvalue():
        await asyncio.sleep(0.001)
    ticking.cancel()
    assert service.open_count == 0
    lines = [orjson.loads(line) for line in out.getvalue().splitlines()]
    return before, [each for each in lines if each["event"] == "exchange"]


def test_what_only_watches_is_counted_although_the_exchange_is_over(tmp_path):
    async def judge(question):
        await asyncio.sleep(0.05)
        return Found(("violence",))

    before, (record,) = asyncio.run(ended(judge, tmp_path))
    assert before == ""
    assert record["verdicts"] == [{"policy": "watch", "label": "violence", "outcome": "audit", "count": 1}]
    assert record["outcome"] == "audit"


def test_a_worker_that_stops_waits_for_nobody(tmp_path):
    async def judge(question):
        await asyncio.sleep(30)

    _, (record,) = asyncio.run(ended(judge, tmp_path, stop=True))
    assert record["verdicts"] == []
