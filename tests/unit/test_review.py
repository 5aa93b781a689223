"""Defects a security review confirmed: each test states what should hold, and fails until it does."""

import gc
import gzip
import io
import time
from dataclasses import replace

import orjson
import pytest

from extproc import events
from extproc.config.load import load
from extproc.envoy import clusters
from extproc.errors import ConfigError
from extproc.exchange import whole
from extproc.exchange.answer import Inspection, ObservedAnswer, StreamAnswer
from extproc.exchange.forward import DECISION
from extproc.exchange.planning import Wanted
from extproc.exchange.router import RouterExchange
from extproc.exchange.streamed import GuardedStream
from extproc.exchange.upstream import BACKEND, UpstreamExchange
from extproc.formats.registry import FORMATS
from extproc.framing import compression
from extproc.framing.sse import EventStream
from extproc.policy.api import Outcome, Phase, Tally
from extproc.runtime import compile_runtime
from extproc.telemetry import Log, Record
from extproc.usage import Meter
from tests.unit.exchange import support as s

CHAT = FORMATS["openai-chat"]
MAIN = 'providers: {main: {type: openai-compatible, base_url: "http://127.0.0.1:1/v1", keys: none}}\n'


def looking(runtime):
    return Inspection(runtime, runtime.attached.usual.chain, Tally(), Meter(CHAT), CHAT)


def _stream(runtime, *chunks):
    limits = runtime.config.processor
    stream = GuardedStream(CHAT, runtime.attached.usual.chain, Tally(), Meter(CHAT), limits.max_event, limits.max_held)
    return b"".join([*(stream.feed(chunk) for chunk in chunks), stream.close()])


def _whole(runtime, body, phase=Phase.RESPONSE):
    raw = orjson.dumps(body)
    return whole.inspect(CHAT, runtime.attached.usual.chain, phase, raw, orjson.loads(raw), Tally())


def _call(**function):
    return {"choices": [{"index": 0, "message": {"role": "assistant", "tool_calls": [{"function": function}]}}]}


def _request(runtime, body):
    exchange = RouterExchange(runtime)
    exchange.receive(s.chat_headers())
    began = time.process_time()
    effects = exchange.receive(events.RequestBody(body, True))
    return effects[0], time.process_time() - began


def _logprobs(**token):
    choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "logprobs": {"content": [token]}}
    return {"choices": [choice]}


# 1: keys


@pytest.mark.parametrize("worker", ["prepared", "reloaded"])
def test_key_goes_only_to_the_host_it_was_configured_for_while_a_reload_is_under_way(tmp_path, worker):
    environment = {"OLD": "sk-old", "NEW": "sk-new"}
    runtimes = []
    for number, name in enumerate(("old", "new"), 1):
        path = tmp_path / f"{name}.yaml"
        path.write_text(
            f"providers: {{main: {{type: openai-compatible, base_url: 'https://{name}.example/v1', "
            f"keys: env:{name.upper()}}}}}\n"
        )
        before = runtimes[-1] if runtimes else None
        runtimes.append(compile_runtime(load(path, environment), number, None, before))
    old, new = runtimes
    prepared = replace(old, former={**old.former, **new.backends})  # what Worker._take makes of "prepare"
    serving, endpoint_of, wrong = (prepared, new, "sk-old") if worker == "prepared" else (new, old, "sk-new")
    group = endpoint_of.group("anything")
    name = clusters._lb_endpoint(group, group.backends[0], 1)["metadata"]["filter_metadata"]["extproc"]["backend"]
    event = events.RequestHeaders(
        {}, False, {BACKEND: name}, {DECISION: Wanted("chat", "openai-chat", "anything", False).told()}
    )
    effects = UpstreamExchange(serving).receive(event)
    assert wrong not in dict(effects[0].mutation.set)["authorization"]


def test_a_decision_with_a_key_names_the_place_it_is_for(tmp_path):
    """With one backend the key goes with the decision, so the route must not lead elsewhere after a reload."""
    found = {}
    for name in ("https://old.example/v1", "https://new.example/v1", "https://old.example/v2", "http://old.example/v1"):
        runtime = s.compiled(
            f"providers: {{main: {{type: openai-compatible, base_url: '{name}', keys: env:MAIN_KEY}}}}\n", tmp_path
        )
        found[name] = runtime.group("anything").slug
    assert len(set(found.values())) == 4


# 2: denial of service


def test_refused_candidates_in_a_text_that_is_not_ascii_cost_linear_time(tmp_path):
    runtime = s.compiled(MAIN, tmp_path)  # no policies named: the recommended ones
    _, short = _request(runtime, s.chat("é" + "12:30 " * 5000))
    _, long = _request(runtime, s.chat("é" + "12:30 " * 40000))
    assert long < short * 8 * 2.5


def test_many_short_texts_are_refused_in_linear_time(tmp_path):
    runtime = s.compiled(MAIN, tmp_path)

    def spent(count):
        gc.collect()  # else what else this process holds is looked through again and again while the body is read
        gc.disable()
        effect, took = _request(runtime, b'{"model":"x","messages":[],"a":[' + b'"a",' * count + b'"a"]}')
        gc.enable()
        assert (effect.status, effect.details) == (413, "llm_too_many_texts")
        return took

    assert min(spent(1 << 19) for _ in range(3)) < min(spent(1 << 17) for _ in range(3)) * 4 * 2.5


def test_bytes_of_a_token_that_are_a_number_are_not_allocated():
    decision, sent = _whole(s.runtime(), _logprobs(token="hi", bytes=1 << 62))
    assert decision.outcome is Outcome.ALLOW
    assert orjson.loads(sent)["choices"][0]["logprobs"] is None


@pytest.mark.parametrize("escape", ["-001"])
def test_arguments_with_a_bad_escape_do_not_crash(escape):
    body = {"model": "x", "messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": ""}}]}]}
    body["messages"][0]["tool_calls"][0]["function"]["arguments"] = f'{{"a":"\\u{escape}alice@x.com"}}'
    decision, _ = _whole(s.runtime(), body, Phase.REQUEST)
    assert decision.outcome is Outcome.REDACT


def test_openings_nobody_could_notice_are_capped(tmp_path):
    runtime = s.compiled(MAIN + "processor: {max_held: 4KiB}\n", tmp_path)
    answer = StreamAnswer(looking(runtime), None)
    verdict = [answer.feed(s.sse({"role": "assistant"})) for _ in range(200)][-1]
    assert answer.held <= 8192
    assert verdict.refused or verdict.commit or verdict.body


def test_collecting_an_answer_nobody_inspects_is_linear_and_counted(tmp_path):
    runtime = s.compiled(MAIN + "attach: []\n", tmp_path)

    def spent(chunks):
        answer = ObservedAnswer(looking(runtime), streamed=False)
        began = time.process_time()
        for _ in range(chunks):
            answer.feed(b"x" * 1024)
        assert answer.held == chunks * 1024
        return time.process_time() - began

    assert spent(8192) < spent(2048) * 4 * 2


# 3: bytes that pass uninspected


@pytest.mark.parametrize(
    "token",
    [
        {"token": "forbidden phrase", "bytes": list(b"hi")},
        {"token": "hi", "bytes": None, "note": "forbidden phrase"},
        {"token": "hi", "bytes": None, "top_logprobs": [{"token": "forbidden phrase"}]},
    ],
)
def test_log_probabilities_carry_nothing_uninspected(token):
    decision, sent = _whole(s.runtime(), _logprobs(**token))
    assert decision.outcome is Outcome.BLOCK or b"forbidden phrase" not in sent


def test_model_name_that_was_redacted_is_not_put_back_by_the_upstream_filter(tmp_path):
    runtime = s.compiled(MAIN + "policies: {pii: {kind: pii, find: [email]}}\n", tmp_path)
    body = orjson.dumps({"model": "main/alice@example.com says hi", "messages": []})
    effect, _ = _request(runtime, body)
    if isinstance(effect, events.Respond):
        return  # refusing it is as good
    attempt = UpstreamExchange(runtime)
    attempt.receive(events.RequestHeaders({}, False, {BACKEND: "main/*"}, effect.mutation.metadata))
    sent = attempt.receive(events.RequestBody(effect.body, True))
    assert b"alice@example.com" not in sent[0].body


@pytest.mark.parametrize("numbers", [(5, 5.0), (0, "0")])
def test_numbers_of_choices_that_clients_take_for_the_same_are_one_text(numbers):
    first, second = numbers
    out = _stream(
        s.runtime(), s.sse({"content": "forbidden "}, index=first), s.sse({"content": "phrase"}, index=second)
    )
    assert b'"phrase"' not in out


def test_input_of_a_custom_tool_is_seen_as_it_stands():
    call = {"type": "custom", "custom": {"name": "n", "input": 'say "\\forbidden phrase'}}
    body = {"choices": [{"index": 0, "message": {"tool_calls": [call]}}]}
    decision, _ = _whole(s.runtime(), body)
    assert decision.outcome is Outcome.BLOCK


@pytest.mark.parametrize(
    "chunks",
    [
        (b": forbidden\n\n", b": phrase\n\n"),
        (
            b'data: {"choices":[{"index":0,"text":"forbidden "}]}\n\n',
            b'data: {"choices":[{"index":0,"text":"phrase"}]}\n\n',
        ),
    ],
)
def test_texts_outside_a_delta_are_joined_over_events_too(chunks):
    assert b"phrase" not in _stream(s.runtime(), *chunks).split(b'{"error"')[0]


# 4: streams that end badly


def _datas(out):
    cutter = EventStream(1 << 20)
    return [event.data for event in [*cutter.feed(out), *cutter.close()] if event.data is not None]


def test_error_after_an_unterminated_event_is_an_event_of_its_own():
    out = _stream(s.runtime(), s.sse({"content": "hello "}), s.sse({"content": "this is forbidden phrase"})[:-2])
    for data in _datas(out):
        assert data == b"[DONE]" or orjson.loads(data)


def test_unterminated_comment_does_not_swallow_the_text_that_was_held_back():
    out = _stream(s.runtime(), s.sse({"content": "a for"}), b": bye")
    assert [orjson.loads(data)["choices"][0]["delta"] for data in _datas(out)] == [{"content": "a for"}]


def test_chunking_of_a_bad_compressed_stream_changes_nothing():
    runtime = s.runtime()
    body = gzip.compress(s.sse({"content": "hello world. "})) + b"garbage"

    def received(step):
        decoder = compression.Decoder("gzip", 1 << 25)
        answer = StreamAnswer(looking(runtime), decoder)
        out = b""
        for at in range(0, len(body), step):
            verdict = answer.feed(body[at : at + step])
            out += verdict.body
            answer.committed = answer.committed or verdict.commit
            if verdict.end:
                break
        return out

    assert received(len(body)) == received(1)


# 5: redaction and valid JSON


@pytest.mark.parametrize(
    "arguments", ['{"x":0.4111111111111111}', '{"x":-4111111111111111}', '{"x":4111111111111111.5}']
)
def test_redacted_number_in_arguments_leaves_valid_json(tmp_path, arguments):
    runtime = s.compiled(MAIN, tmp_path)
    _, sent = _whole(runtime, _call(name="n", arguments=arguments))
    orjson.loads(orjson.loads(sent)["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"])


# 6: operations


@pytest.mark.parametrize("url", ["http://host:99999/v1", "http://[::1/v1"])
def test_impossible_base_url_is_a_configuration_error(tmp_path, url):
    with pytest.raises(ConfigError):
        s.compiled(f'providers: {{main: {{type: openai-compatible, base_url: "{url}", keys: none}}}}\n', tmp_path)


def test_model_name_cannot_forge_a_line_of_the_log():
    out = io.StringIO()
    record = Record(1)
    record.model = "x\n00:00:00 200 chat forged\x1b[31m"
    Log("text", out).exchange(record)
    assert out.getvalue().count("\n") == 1
    assert "\x1b" not in out.getvalue()
