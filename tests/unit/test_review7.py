"""What a review of the guard and the shadow has found."""

import asyncio
import contextlib
import io
from dataclasses import replace
from unittest import mock

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc import events
from extproc.budget import Budget
from extproc.envoy.layout import Layout
from extproc.errors import ProtocolError
from extproc.exchange.attest import seen
from extproc.exchange.guarding import GuardExchange
from extproc.exchange.judging import Found
from extproc.exchange.shadow import ShadowExchange
from extproc.operations import plain
from extproc.policy.attach import Attached, Line
from extproc.processor import Processor
from extproc.service import Service as Serving
from extproc.telemetry import Log
from tests.unit.exchange.support import answer_headers, chat, chat_headers, compiled, sse
from tests.unit.exchange.test_gate import Service
from tests.unit.exchange.test_moderated import policy

CONFIG = """
policies:
  pii:   {kind: pii, find: [email]}
  words: {kind: wordlist, words: [forbidden phrase], action: block}
"""
REQUESTS_ONLY = "policies:\n  words: {kind: wordlist, words: [forbidden phrase], action: block, phase: request}\n"
MAIL = "ada@example.com"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    return compiled(CONFIG, tmp_path_factory.mktemp("review7"), {})


@pytest.fixture(scope="module")
def requests_only(tmp_path_factory):
    return compiled(REQUESTS_ONLY, tmp_path_factory.mktemp("review7requests"), {})


def answered(runtime, headers, *chunks, path="/v1/chat/completions", body=None):
    """What a guard makes of an answer: its effects on the headers and the body."""
    guard = GuardExchange(runtime)
    guard.receive(chat_headers(**{":path": path}))
    guard.receive(events.RequestBody(chat("hello") if body is None else body, True))
    effects = guard.receive(headers)
    for index, chunk in enumerate(chunks):
        effects += guard.receive(events.ResponseBody(chunk, index == len(chunks) - 1))
    return effects


def passed(effects):
    """Bytes of an answer that goes on."""
    assert not any(isinstance(each, events.Respond) for each in effects)
    return b"".join(each.body for each in effects if isinstance(each, events.Send))


@pytest.mark.parametrize("status", [200, 201, 202, 206, 302, 400, 500])
def test_words_over_the_events_of_a_stream_are_found_whatever_its_status(guarded, status):
    chunks = sse({"content": "write to ada@exam"}), sse({"content": "ple.com now"}, "stop")
    found = passed(answered(guarded, answer_headers("text/event-stream", status), *chunks, b"data: [DONE]\n\n"))
    said = [orjson.loads(line[6:]) for line in found.split(b"\n\n") if line.startswith(b"data: {")]
    text = "".join(each["choices"][0]["delta"].get("content", "") for each in said)
    assert text == "write to [email] now"


def test_lines_of_json_are_no_text_in_which_words_hide(guarded):
    effects = answered(guarded, answer_headers("application/x-ndjson", 206), b'{"a":"ada@exam"}\n{"a":"ple.com"}\n')
    assert effects[-1].status == 502


@pytest.mark.parametrize("status", [200, 202, 204, 301, 304, 404])
@pytest.mark.parametrize("end", [True, False])
@pytest.mark.parametrize("coding", ["", "gzip"])
def test_an_answer_without_a_body_goes_on(guarded, status, end, coding):
    headers = answer_headers("application/json", status, encoding=coding if end else "", etag="x")
    headers.end = end
    effects = answered(guarded, headers, *([] if end else [b""]))
    assert passed(effects) == b""
    if end:
        assert "etag" not in effects[0].mutation.remove, "it says nothing of a body that has been changed"


def test_a_list_without_anything_goes_on(guarded):
    body = orjson.dumps({"contents": [{"parts": [{"text": "hi"}]}]})
    path = "/v1beta/models/gem:streamGenerateContent"
    assert passed(answered(guarded, answer_headers(), b"", path=path, body=body)) == b""


@pytest.mark.parametrize(
    ("media", "coding", "body"),
    [
        ("text/html; charset=latin-1", "", b"<p>\xe9</p>"),
        ("application/json", "", b"no json"),
        ("text/x", "zz", b"\x01"),
    ],
)
def test_an_error_that_no_policy_looks_at_goes_on_as_it_came(requests_only, media, coding, body):
    assert passed(answered(requests_only, answer_headers(media, 500, encoding=coding), body)) == body


OWN = """
from extproc.plugin import *
class Own:
    def response(self, answer):
        words = "".join(each.text for each in answer.texts)
        if words == "raise":
            raise RuntimeError
        return Block("bad") if words == "all bad" else None
"""


# the shadow


class Judge:
    """A service, as a policy has it."""

    wait, deadline, window, lag = "before", 1.0, 10, 0


def judged(runtime, budget=None):
    """A shadow whose requests wait for a service."""
    attached = Attached({"judge": policy(Judge())}, [Line(("judge",), lambda traits: True, True)])
    return ShadowExchange(replace(runtime, attached=attached), budget)


def test_a_shadow_in_which_nobody_is_asked_any_more_gives_back_what_it_held(guarded):
    attached = Attached({"judge": policy(Judge())}, [Line(("judge",), lambda traits: True, True)])
    out = io.StringIO()
    serving = Serving(lambda: replace(guarded, attached=attached), Log("json", out), judge=None)
    session = serving.open("shadow")
    exchange = session._exchange
    exchange.receive(chat_headers())
    exchange.receive(events.RequestBody(chat("are you there"), True))  # its question is never carried
    exchange.receive(answer_headers())
    exchange.receive(events.ResponseBody(b"x" * 500, False))
    assert serving.held > 500
    session.end()
    assert serving.held == 0
    assert orjson.loads(out.getvalue())["mode"] == "shadow"


def test_a_question_is_carried_before_its_stream_can_end(guarded):
    attached = Attached({"judge": policy(Judge())}, [Line(("judge",), lambda traits: True, True)])
    out = io.StringIO()

    async def judge(question):
        return Found(("violence",))

    async def scene():
        serving = Serving(lambda: replace(guarded, attached=attached), Log("json", out), judge=judge)
        ticking = asyncio.ensure_future(serving.tick_forever(0.001))
        await asyncio.sleep(0)
        session = serving.open("shadow")
        session._exchange.receive(chat_headers())
        session._exchange.receive(events.RequestBody(chat("are you there"), True))
        session._carry_questions()
        session.end()
        while not out.getvalue():
            await asyncio.sleep(0.001)
        ticking.cancel()
        assert serving.held == 0

    asyncio.run(asyncio.wait_for(scene(), 20))
    line = orjson.loads(out.getvalue())
    assert (line["end"], line["error"]) == ("blocked", "judge")


def test_a_shadow_whose_last_events_make_no_sense_ends_all_the_same(guarded):
    budget = Budget(10_000)
    shadow = judged(guarded, budget)
    shadow.receive(chat_headers())
    shadow.receive(events.RequestBody(chat("are you there"), True))
    shadow.receive(events.ResponseTrailers(()))
    (question,) = shadow.questions()
    shadow.finish()
    shadow.told(question, Found())
    with pytest.raises(ProtocolError):
        shadow.add_late()
    assert budget.used == 0


@given(st.integers(0, 80), st.integers(0, 80), st.sampled_from(["before", "between", "after"]))
def test_a_server_may_answer_before_it_has_all_of_a_request(guarded, cut, answer_cut, when):
    """Envoy tells a shadow of requests and answers as they come."""
    budget = Budget(100_000)
    shadow = ShadowExchange(guarded, budget)
    asks, says = chat(f"i am {MAIL}"), orjson.dumps({"choices": [{"message": {"content": "ask eve@example.com"}}]})
    request = [events.RequestBody(asks[:cut], False), events.RequestBody(asks[cut:], True)]
    answer = [events.ResponseBody(says[:answer_cut], False), events.ResponseBody(says[answer_cut:], True)]
    order = {
        "before": [answer_headers(), *answer, *request],
        "between": [request[0], answer_headers(), answer[0], request[1], answer[1]],
        "after": [*request, answer_headers(), *answer],
    }
    for event in (chat_headers(), *order[when]):
        assert shadow.receive(event) in ([], [events.Close()])
    record = shadow.finish()
    assert (record.end, record.status, record.verdicts[0]["count"]) == ("complete", 200, 2)
    assert budget.used == 0


def test_an_early_answer_to_a_request_that_breaks_off_is_given_back(guarded):
    budget = Budget(100_000)
    shadow = ShadowExchange(guarded, budget)
    for event in (chat_headers(), events.RequestBody(b"{", False), answer_headers(), events.ResponseBody(b"{}", True)):
        shadow.receive(event)
    assert shadow.finish().end == "cut"
    assert budget.used == 0


def test_small_pieces_are_counted_with_what_they_take(guarded):
    shadow = judged(guarded)
    shadow.receive(chat_headers())
    shadow.receive(events.RequestBody(chat("are you there"), True))
    shadow.receive(answer_headers("text/event-stream"))
    before = shadow.held
    for _ in range(100):
        shadow.receive(events.ResponseBody(b"", False))
    assert shadow.held - before > 100 * 64


EVENTS = st.one_of(
    st.sampled_from([chat_headers(), chat_headers(**{"x-llm-attest": "abcdefghijklmnop"})]),
    st.builds(events.RequestBody, st.sampled_from([b"", b"{", chat("hi"), chat(MAIL)]), st.booleans()),
    st.just(events.RequestTrailers(("a",))),
    st.sampled_from([answer_headers(), answer_headers("text/event-stream"), answer_headers(details="timeout")]),
    st.builds(
        events.ResponseBody, st.sampled_from([b"", b"{}", b"data: {}\n\n", sse({"content": MAIL})]), st.booleans()
    ),
    st.just(events.ResponseTrailers(("a",))),
)


@given(st.lists(EVENTS, max_size=12), st.booleans(), st.integers(0, 12), st.sampled_from([300, 100_000]))
def test_whatever_comes_in_whatever_order_nothing_stays_held(guarded, order, asks, told_at, limit):
    budget = Budget(limit)
    shadow = judged(guarded, budget) if asks else ShadowExchange(guarded, budget)
    questions = []
    for at, event in enumerate(order):
        if at == told_at:
            for each in questions:
                shadow.told(each, Found())
        try:
            assert shadow.receive(event) in ([], [events.Close()])
            questions += shadow.questions()
            assert shadow.tick() in ([], [events.Close()])
        except ProtocolError:
            break
    shadow.finish()
    with contextlib.suppress(ProtocolError):
        shadow.add_late()
    assert budget.used == 0
    assert shadow.held == 0


# operations that nobody reads


OPAQUE = """
  only: {kind: operations, allow: [chat, files]}
operations:
  files: {path: "/v1/files/*", method: [GET, POST], scan: opaque}
  other: {path: "/v1/other/*", method: [GET, POST], scan: opaque}
"""


@pytest.mark.parametrize("kind", [GuardExchange, ShadowExchange])
@pytest.mark.parametrize("end", [True, False])
def test_policies_that_need_no_body_judge_opaque_operations(tmp_path, kind, end):
    runtime = compiled(CONFIG + OPAQUE, tmp_path, {})
    found = {}
    for name in ("files", "other"):
        one = kind(runtime)
        effects = one.receive(chat_headers(end, **{":path": f"/v1/{name}/a", "x-llm-verdict": "mine"}))
        if kind is GuardExchange:
            passes = [events.ContinueRequest(events.Mutation(remove=("x-llm-verdict",))), events.Close()]
            assert (effects == passes) is (name == "files")
            assert one.answered
        record = one.finish()
        found[name] = (record.operation, record.end, record.error, record.unscanned)
    assert found == {
        "files": ("files", "passed", "", ["request", "answer"]),
        "other": ("other", "blocked", "only", ["request", "answer"]),
    }


@pytest.mark.parametrize(("says", "ends"), [("fine", "complete"), ("all bad", "blocked"), ("raise", "refused")])
def test_the_operators_code_sees_a_stream_that_is_one_array(tmp_path, says, ends):
    (tmp_path / "own.py").write_text(OWN)
    own = '  own: {kind: python, path: "own.py:Own"}\nprocessor: {python: true}\n'
    guard = GuardExchange(compiled(CONFIG + own, tmp_path, {}))
    guard.receive(chat_headers(**{":path": "/v1beta/models/gem:streamGenerateContent"}))
    guard.receive(events.RequestBody(orjson.dumps({"contents": [{"parts": [{"text": "hi"}]}]}), True))
    guard.receive(answer_headers())
    words = [
        {"candidates": [{"content": {"role": "model", "parts": [{"text": each}]}}]} for each in (says[:2], says[2:])
    ]
    effects = guard.receive(events.ResponseBody(orjson.dumps(words), True))
    assert (effects[-1].body == orjson.dumps(words)) is (ends == "complete")
    assert guard.finish().end == ends


# paths


SPELLINGS = [
    "//v1/chat/completions", "/v1//chat/completions", "/v1/chat/completions/", "/V1/Chat/Completions",
    "/v1/chat%2fcompletions", "/v1/chat%252Fcompletions", "/v1/chat/completions;x=1", "/v1;x/chat/completions",
    "/v1/chat/completion%73", "/v1/./chat/completions", "/v1/x/../chat/completions", "/v1/x/%2e%2E/chat/completions",
    "/v1/chat/completions#x", "/v1\\chat\\completions", "/v1/chat/completions%20", "/v1/chat/completions%3Fx",
    "/v1/chat/completions%00", "http://elsewhere/v1/chat/completions", "/llm//v1/chat/completions", "//llm/v1/messages/",
    "/v1beta/models/gem:generateContent/", "/v1beta/models/gem%3AgenerateContent", "/model//m/converse",
    "/openai/Deployments/d/Chat/Completions", "/v1/chat/completions/?api-version=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def lenient(tmp_path_factory):
    return compiled(CONFIG + "guard: {unknown: pass, prefixes: [/llm]}", tmp_path_factory.mktemp("lenient"), {})


@pytest.mark.parametrize("path", SPELLINGS)
def test_another_spelling_of_what_is_read_does_not_pass_as_unknown(lenient, path):
    (effect,) = GuardExchange(lenient).receive(chat_headers(**{":path": path}))
    assert effect.status == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/files"), ("GET", "/v1/chat/completions"), ("GET", "/v1/responses/r1/"), ("GET", "/v1/models/"),
        ("POST", "/v1/messages/batches"), ("POST", "/other/v1/chat/completions"), ("POST", "/x%zz"), ("POST", ""),
        ("POST", "/v1/projects/p/locations/l/endpoints/7:generateContent"),
    ],
)  # fmt: skip
def test_what_is_unknown_passes_where_that_is_said(lenient, method, path):
    one = GuardExchange(lenient)
    assert one.receive(chat_headers(**{":method": method, ":path": path})) == [events.ContinueRequest(), events.Close()]


@pytest.mark.parametrize("name", ["x-http-method-override", "x-http-method", "x-method-override"])
def test_a_method_that_is_said_elsewhere_counts(lenient, name):
    headers = chat_headers(**{":method": "GET", name: "POST"})
    (effect,) = GuardExchange(lenient).receive(headers)
    assert effect.status == 403


@given(st.text(max_size=60))
def test_any_path_can_be_made_plain(path):
    found = plain(path)
    assert found.startswith("/")
    assert "//" not in found


@pytest.mark.parametrize(
    ("path", "end"),
    [
        ("/v1/models", False),
        ("/v1/models/gpt-x", False),
        ("/v1beta/models/gem:generateContent", True),
        ("/v1beta/models/gem:streamGenerateContent", False),
    ],
)
def test_what_asks_for_models_has_no_body_and_calls_none(guarded, path, end):
    (effect,) = GuardExchange(guarded).receive(chat_headers(end, **{":method": "GET", ":path": path}))
    assert (effect.status, effect.details) == (403, "llm_unknown_operation")


# signatures


def test_what_a_client_has_signed_stays(guarded):
    signed = "AWS4-HMAC-SHA256 Credential=x/y, SignedHeaders=accept-encoding;host, Signature=z"
    guard = GuardExchange(guarded)
    guard.receive(chat_headers(authorization=signed, **{"accept-encoding": "gzip"}))
    (effect,) = guard.receive(events.RequestBody(chat("hi"), True))
    assert effect.mutation.set == ()


def test_a_request_signed_in_version_4a_cannot_be_changed(guarded):
    guard = GuardExchange(guarded)
    guard.receive(chat_headers(authorization="AWS4-ECDSA-P256-SHA256 Credential=x/y, SignedHeaders=host, Signature=z"))
    (effect,) = guard.receive(events.RequestBody(chat(MAIL), True))
    assert (effect.status, effect.details) == (403, "llm_signed_request")


# attestation


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("mark", ["abcdefghijklmnop", "short"])
def test_a_mark_hides_no_request_from_the_shadow(guarded, mark, early):
    shadow = ShadowExchange(guarded)
    request, answer = events.RequestBody(chat(f"i am {MAIL}"), True), events.ResponseBody(b"{}", True)
    shadow.receive(chat_headers(**{"x-llm-attest": mark}))
    for event in [answer_headers(), request, answer] if early else [request, answer_headers(), answer]:
        shadow.receive(event)
    record = shadow.finish()
    assert (record.operation, record.end, record.attested) == ("chat", "complete", "")
    assert record.verdicts[0]["policy"] == "pii"


def test_a_reply_of_envoys_own_to_a_marked_request(guarded):
    shadow = ShadowExchange(guarded)
    shadow.receive(chat_headers(**{"x-llm-attest": "abcdefghijklmnop"}))
    shadow.receive(answer_headers(status=413, details="request_payload_too_large"))
    shadow.receive(events.RequestBody(b"", True))
    shadow.receive(events.ResponseBody(b"no", True))
    record = shadow.finish()
    assert (record.operation, record.end, record.status) == ("chat", "passed", 413)


def test_a_marked_request_that_breaks_off_is_one_that_breaks_off(guarded):
    budget = Budget(10_000)
    shadow = ShadowExchange(guarded, budget)
    shadow.receive(chat_headers(**{"x-llm-attest": "abcdefghijklmnop"}))
    shadow.receive(events.RequestBody(chat("hi"), False))
    record = shadow.finish()
    assert (record.operation, record.end, record.attested) == ("chat", "cut", "")
    assert budget.used == 0


@pytest.mark.parametrize("body", [b"", b"{}"])
def test_a_probe_is_noted_in_the_shadow(guarded, body):
    shadow = ShadowExchange(guarded)
    shadow.receive(chat_headers(**{"x-llm-attest": "abcdefghijklmnop"}))
    shadow.receive(events.RequestBody(body, True))
    record = shadow.finish()
    assert (record.operation, record.attested) == ("attest", seen("abcdefghijklmnop"))


@pytest.mark.parametrize("path", ["/v1beta/models/gem:generateContent", "/v1beta/models/gem:streamGenerateContent"])
def test_an_answer_that_is_whole_waits_for_a_service_whatever_its_length(tmp_path, path):
    runtime = compiled(CONFIG + "processor: {max_held: 4KiB}", tmp_path, {})
    both = {**runtime.attached.policies, "judge": policy(Service("parallel"))}
    lines = [Line(tuple(both), lambda traits: True, True)]
    guard = GuardExchange(replace(runtime, attached=Attached(both, lines)))
    guard.receive(chat_headers(**{":path": path}))
    guard.receive(events.RequestBody(orjson.dumps({"contents": [{"parts": [{"text": "hi"}]}]}), True))
    questions = guard.questions()
    body = {"candidates": [{"content": {"role": "model", "parts": [{"text": "word " * 200}]}}]}
    raw = orjson.dumps([body] * 20 if "stream" in path else body)
    effects = guard.receive(answer_headers()) + guard.receive(events.ResponseBody(raw, True))
    assert effects == []
    while questions := questions + guard.questions():
        for each in questions:
            guard.told(each, Found())
        effects += guard.tick()
        questions = []
    assert passed(effects) == raw


# reloading


SERVED = """
processor: {{bind: "127.0.0.1:1", tls: {{cert: c.pem, key: k.pem, client_ca: a.pem, names: [{name}]}}}}
gateway:   {{max_body: {most}}}
"""


def test_what_a_processor_reads_only_at_its_start_is_said(tmp_path):
    said = {"name": "one.example", "most": "1MiB"}, {"name": "two.example", "most": "2MiB"}
    before, after = (compiled(CONFIG + SERVED.format(**each), tmp_path, {}) for each in said)
    out = io.StringIO()
    layout = Layout(tmp_path, tmp_path / "c", tmp_path / "k", "", ("127.0.0.1:1",))
    processor = Processor(before, Log("json", out), layout)
    processor.pool = mock.AsyncMock()
    asyncio.run(processor._swap(after))
    lines = [orjson.loads(each) for each in out.getvalue().splitlines()]
    waits = [each["field"] for each in lines if each["event"] == "needs-restart"]
    assert waits == ["processor.tls", "gateway.max_body"]
