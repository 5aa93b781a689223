"""Defects a sixth review confirmed: each test states what should hold, and fails until it does."""

import orjson
import pytest

from extproc import events
from extproc.chat.answer import PartDelta, PartStart
from extproc.chat.codec import Context
from extproc.chat.losses import Losses
from extproc.chat.parts import Reasoning, Text, ToolCall
from extproc.errors import DecodeError, LimitExceeded
from extproc.exchange.forward import DECISION, SUBSET
from extproc.exchange.planning import Wanted
from extproc.exchange.router import RouterExchange
from extproc.exchange.upstream import BACKEND, UpstreamExchange
from extproc.formats.logprobs import alternatives
from extproc.formats.registry import FORMATS
from extproc.framing import aws
from tests.unit.exchange import support as s

BEDROCK = "type: bedrock, region: eu-central-1"
AWS = {"ID": "AKIDEXAMPLEEXAMPLE", "SECRET": "secret", "TOKEN": "token"}
TEXT = "sk-ant-api03-" + "a1B2" * 20


# keys


def converse(headers=()):
    asked = {":path": "/model/amazon.nova-pro-v1:0/converse", **dict(headers)}
    return s.chat_headers(**asked), events.RequestBody(
        b'{"messages": [{"role": "user", "content": [{"text": "hi"}]}]}', True
    )


def test_a_clients_session_token_does_not_go_along_with_keys_that_have_none(tmp_path):
    runtime = s.compiled(f"providers: {{bedrock: {{{BEDROCK}, keys: [env:ID, env:SECRET]}}}}", tmp_path, AWS)
    exchange = RouterExchange(runtime)
    headers, body = converse({"x-amz-security-token": "the client's", "x-amz-date": "20260101T000000Z"})
    exchange.receive(headers)
    mutation = exchange.receive(body)[0].mutation
    assert "x-amz-security-token" in mutation.remove
    assert {"authorization", "x-amz-date"} <= dict(mutation.set).keys()


def test_a_session_token_of_an_earlier_attempt_does_not_go_along_with_keys_that_have_none(tmp_path):
    text = (
        f"providers: {{one: {{{BEDROCK}, keys: [env:ID, env:SECRET, env:TOKEN]}}, "
        f"two: {{{BEDROCK}, keys: [env:ID, env:SECRET]}}}}\n"
        "models: {nova: [one/amazon.nova-pro-v1:0, two/amazon.nova-pro-v1:0]}"
    )
    runtime = s.compiled(text, tmp_path, AWS)
    wanted = Wanted("chat", "bedrock-converse", "nova", stream=False, named=False).told()
    for backend, removed in zip(runtime.group("nova").backends, (False, True), strict=True):
        exchange = UpstreamExchange(runtime)
        exchange.receive(events.RequestHeaders({}, False, {BACKEND: backend.id}, {DECISION: {"group": "g", **wanted}}))
        mutation = exchange.receive(events.RequestBody(b"{}", True))[0].mutation
        assert ("x-amz-security-token" in mutation.remove) is removed
        assert ("x-amz-security-token" in dict(mutation.set)) is not removed


# texts that look like data


@pytest.mark.parametrize(
    ("format_", "body"),
    [
        ("anthropic-messages", {}),
        ("anthropic-count", {}),
        ("bedrock-invoke-anthropic", {}),
        ("bedrock-invoke", {}),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_a_document_of_plain_text_is_a_text_whatever_it_looks_like(format_, body, nested):
    block = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": TEXT}}
    if nested:
        block = {"type": "tool_result", "tool_use_id": "t", "content": [block]}
    spans = FORMATS[format_].request_spans({**body, "messages": [{"role": "user", "content": [block]}]})
    assert [span.text for span in spans if span.path[-1] == "data"] == [TEXT]


@pytest.mark.parametrize("format_", ["anthropic-messages", "bedrock-invoke"])
def test_what_a_tool_fetched_as_plain_text_is_a_text(format_):
    source = {"type": "text", "media_type": "text/plain", "data": TEXT}
    inner = {"type": "web_fetch_result", "content": {"type": "document", "source": source}}
    body = {"content": [{"type": "web_fetch_tool_result", "tool_use_id": "t", "content": inner}]}
    assert TEXT in [span.text for span in FORMATS[format_].response_spans(body)]


@pytest.mark.parametrize("format_", ["anthropic-messages", "bedrock-invoke"])
def test_pictures_and_redacted_thoughts_stay_data(format_):
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": TEXT}}
    content = [
        picture,
        {"type": "redacted_thinking", "data": TEXT},
        {"type": "input_audio", "input_audio": {"data": TEXT}},
    ]
    spans = FORMATS[format_].request_spans({"messages": [{"role": "user", "content": content}]})
    assert TEXT not in [span.text for span in spans]


# what nobody expects


@pytest.mark.parametrize("odd", [[], {}, None, 5])
def test_types_that_are_no_texts(odd):
    source = {"type": odd, "media_type": "text/plain", "data": "x"}
    body = {"messages": [{"role": "user", "content": [{"type": "document", "source": source}]}]}
    assert FORMATS["anthropic-messages"].unscanned(body) == ["file"]


def test_an_item_without_a_type_is_written_again():
    codec = FORMATS["openai-responses"].codec
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]}
    answer = codec.decode_answer({"output": [{"odd": 1}, message]})
    written = codec.encode_answer(answer, Context("r", "m", 1), Losses())
    assert [each.get("type") for each in written["output"]] == [None, "message"]


@pytest.mark.parametrize("role", [[], {}, 5])
def test_a_role_that_is_no_text_is_refused(tmp_path, role):
    runtime = s.compiled('providers: {main: {type: openai-compatible, base_url: "http://h/v1", keys: none}}', tmp_path)
    exchange = RouterExchange(runtime)
    headers, _ = converse()
    exchange.receive(headers)
    raw = orjson.dumps({"messages": [{"role": role, "content": [{"text": "hi"}]}]})
    assert exchange.receive(events.RequestBody(raw, True))[0].status == 400


# what stays here


def test_names_that_a_client_gives_to_members_do_not_reach_logs(tmp_path):
    exchange = RouterExchange(s.compiled("providers: {anthropic: {keys: env:MAIN_KEY}}", tmp_path))
    exchange.receive(s.chat_headers())
    name = "sk-proj-0123456789abcdefghij"
    message = {"role": "user", "content": "hi", name: 1}
    body = orjson.dumps({"model": "claude-x", "messages": [message], "logit_bias": {name: 1}, f"{name}-2": {name: 1}})
    assert isinstance(exchange.receive(events.RequestBody(body, True))[0], events.ContinueBody)
    assert exchange.record.losses
    assert "messages[0].*: unknown field" in exchange.record.losses
    assert name not in orjson.dumps(exchange.record).decode()


# what is collected


def _streamed_unasked(tmp_path, limit):
    text = f"providers: {{anthropic: {{keys: env:MAIN_KEY}}}}\ngateway: {{max_body: {limit}}}"
    exchange = RouterExchange(s.compiled(text, tmp_path))
    exchange.receive(s.chat_headers())
    exchange.receive(events.RequestBody(orjson.dumps({"model": "claude-x", "messages": []}), True))
    told = {"response.code_details": "via_upstream"}
    exchange.receive(events.ResponseHeaders({":status": "200", "content-type": "text/event-stream"}, False, told, {}))
    return exchange


_START = b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant",'
_START += b'"model":"c","content":[],"usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
_OPEN = b'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
_SAID = (
    b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"' + b"a" * 1000 + b'"}}\n\n'
)
_LAST = b'data: {"type":"content_block_stop","index":0}\n\n'
_LAST += b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}\n\n'
_LAST += b'data: {"type":"message_stop"}\n\n'


def test_a_stream_that_is_folded_into_one_answer_counts_as_held_and_is_limited_like_any_whole_answer(tmp_path):
    exchange = _streamed_unasked(tmp_path, 8000)
    exchange.receive(events.ResponseBody(_START + _OPEN, False))
    for _ in range(4):
        before = exchange.held
        assert exchange.receive(events.ResponseBody(_SAID, False)) == []
        assert exchange.held == before + len(_SAID)
    effects = [effect for _ in range(6) for effect in exchange.receive(events.ResponseBody(_SAID, False))]
    assert [effect.status for effect in effects] == [502]
    assert exchange.record.error == "upstream_too_large"


def test_a_stream_that_is_folded_into_one_answer_comes_out_whole(tmp_path):
    exchange = _streamed_unasked(tmp_path, 8000)
    effects = exchange.receive(events.ResponseBody(_START + _OPEN + _SAID + _LAST, True))
    body = orjson.loads(b"".join(effect.body for effect in effects if isinstance(effect, events.Send)))
    assert body["choices"][0]["message"]["content"] == "a" * 1000


# a stream nobody inspects, but for the usage that was asked for


def _observed(tmp_path):
    text = 'providers: {main: {type: openai, base_url: "http://h/v1", keys: none}}\nattach: []\nprocessor: {max_event: 4096}'
    exchange = RouterExchange(s.compiled(text, tmp_path))
    exchange.receive(s.chat_headers())
    body = orjson.dumps({"model": "gpt-x", "stream": True, "messages": [{"role": "user", "content": "hi"}]})
    effect = exchange.receive(events.RequestBody(body, True))[0]
    assert b"include_usage" in effect.body
    exchange.receive(s.answer_headers("text/event-stream"))
    return exchange


@pytest.mark.parametrize("first", [b"", s.sse({"content": "before"})])
@pytest.mark.parametrize("size", [100, 10_000])
def test_the_client_is_told_where_events_can_no_longer_be_told_apart(tmp_path, first, size):
    exchange = _observed(tmp_path)
    stream = first + s.sse({"content": "x" * 5000}) + s.sse({"content": "after"}) + b"data: [DONE]\n\n"
    effects = []
    for at in range(0, len(stream), size):
        effects += exchange.receive(events.ResponseBody(stream[at : at + size], at + size >= len(stream)))
    assert exchange.record.error == "upstream_too_large"
    sent = b"".join(effect.body for effect in effects if isinstance(effect, (events.Send, events.Respond)))
    assert b"upstream_too_large" in sent
    assert sent.startswith(first)
    assert b"after" not in sent


# sound


@pytest.mark.parametrize("media", ["audio/mpeg", "application/octet-stream"])
def test_only_speech_is_sound(tmp_path, media):
    text = """
providers: {o: {type: openai, base_url: "http://h/v1", keys: none}}
policies: {w: {kind: wordlist, words: [forbidden phrase], action: block}}
"""
    runtime = s.compiled(text, tmp_path)
    part = 'Content-Disposition: form-data; name="'
    form = f'--B\r\n{part}model"\r\n\r\nm\r\n--B\r\n{part}file"; filename="a.wav"\r\n\r\nx\r\n--B--\r\n'.encode()

    def asked(path, body, content_type):
        exchange = RouterExchange(runtime)
        exchange.receive(s.chat_headers(**{":path": path, "content-type": content_type}))
        exchange.receive(events.RequestBody(body, True))
        exchange.receive(s.answer_headers(media))
        return exchange.receive(events.ResponseBody(b'{"text": "a forbidden phrase"}', True))

    for operation in ("transcriptions", "translations"):
        (effect,) = asked(f"/v1/audio/{operation}", form, "multipart/form-data; boundary=B")
        assert effect.status == 400
    body = orjson.dumps({"model": "m", "input": "hi", "voice": "v"})
    assert isinstance(asked("/v1/audio/speech", body, "application/json")[0], events.ContinueResponse)


# messages of AWS


def test_headers_that_mean_nothing_in_a_message_of_this_type_are_texts():
    headers = {
        ":message-type": "event",
        ":event-type": "messageStop",
        ":error-message": "said",
        ":exception-type": "so",
    }
    packed = b"".join(aws._header(name, value) for name, value in headers.items())
    (event,) = aws.NAMED.reader(1 << 16).feed(aws._message(packed, b"{}"))
    assert event.other == b": :error-message said\n: :exception-type so"
    (event,) = aws.NAMED.reader(1 << 16).feed(aws.framed("messageStop", b"{}"))
    assert event.other == b""


# who serves what


def test_backends_of_one_provider_whose_models_speak_different_formats_are_of_different_abilities(tmp_path):
    key = {"type": "authorized_user", "client_id": "a", "client_secret": "b", "refresh_token": "c"}
    (tmp_path / "key.json").write_bytes(orjson.dumps(key))
    vertex = "type: vertex, project: p, keys: 'file:key.json'"
    text = f"""
providers: {{v: {{{vertex}}}, w: {{{vertex}, location: eu}}}}
models: {{m: [v/gemini-2.5-pro, w/claude-sonnet-4-5]}}
"""
    runtime = s.compiled(text, tmp_path)
    exchange = RouterExchange(runtime)
    exchange.receive(s.chat_headers(**{":path": "/v1/messages/count_tokens"}))
    (effect,) = exchange.receive(events.RequestBody(s.chat("hi", max_tokens=5).replace(b"gpt-x", b"m"), True))
    gemini, claude = runtime.group("m").backends
    serves = effect.mutation.metadata[SUBSET]["serves"]
    assert serves in runtime.group("m").subsets(claude)
    assert serves not in runtime.group("m").subsets(gemini)


def test_gemini_models_in_bodies_are_those_of_paths(tmp_path):
    text = """
providers: {g: {keys: env:MAIN_KEY, type: gemini}}
policies: {m: {kind: models, allow: [gemini-2.5-flash], deny: [gemini-2.5-pro]}}
"""
    runtime = s.compiled(text, tmp_path)
    for name, passes in (("gemini-2.5-flash", True), ("gemini-2.5-pro", False), ("other", False)):
        exchange = RouterExchange(runtime)
        exchange.receive(s.chat_headers(**{":path": "/v1beta/models/gemini-2.5-flash:countTokens"}))
        body = {"generateContentRequest": {"model": f"models/{name}", "contents": [{"parts": [{"text": "x"}]}]}}
        effect = exchange.receive(events.RequestBody(orjson.dumps(body), True))[0]
        assert isinstance(effect, events.ContinueBody) is passes


# edits inside of what goes as a whole


def test_a_text_in_log_probabilities_that_go_is_not_replaced_besides(tmp_path):
    text = """
providers: {o: {type: openai, base_url: "http://h/v1", keys: none}}
policies: {w: {kind: wordlist, words: [forbidden phrase], action: redact}}
"""
    exchange = RouterExchange(s.compiled(text, tmp_path))
    exchange.receive(s.chat_headers(**{":path": "/v1/responses"}))
    exchange.receive(events.RequestBody(orjson.dumps({"model": "m", "input": "hi"}), True))
    exchange.receive(s.answer_headers())
    body = {"id": "r", "output": [], "logprobs": {"text": "a forbidden phrase"}, "text": "b"}
    effects = exchange.receive(events.ResponseBody(orjson.dumps(body), True))
    assert orjson.loads(effects[-1].body) == {**body, "logprobs": None}


# log probabilities


SAID = "forbidden phrase"


@pytest.mark.parametrize(
    "other",
    [
        {"token": "x", "logprob": -1, "bytes": [*SAID.encode()]},
        {"token": "x", "logprob": -1, "bytes": [120], SAID: 1},
        {"token": SAID, "logprob": -1, "bytes": None, "top_logprobs": []},
        {"token": "x", "logprob": -1, "top_logprobs": [{"token": SAID}]},
    ],
)
def test_alternatives_are_texts_wherever_they_say_something(other):
    token = {"token": "hi", "logprob": -1, "bytes": [104, 105], "top_logprobs": [other]}
    assert SAID in "\n".join(alternatives({"content": [token]}))
    assert SAID in "\n".join(alternatives([token]))
    choice = {"index": 0, "message": {"content": "hi"}, "logprobs": {"content": [token]}}
    assert any(SAID in span.text for span in FORMATS["openai-chat"].response_spans({"choices": [choice]}))


def test_tokens_of_the_text_itself_are_not_said_twice():
    token = {"token": "hi", "logprob": -1, "bytes": [104, 105], "top_logprobs": [{"token": "ho", "bytes": [104, 111]}]}
    assert [*alternatives({"content": [token], "refusal": None})] == ["ho"]


def test_tokens_that_a_client_sends_are_texts():
    halves = [{"token": half, "logprob": -1, "bytes": [], "top_logprobs": []} for half in ("forbidden", " phrase")]
    part = {"type": "output_text", "text": "hi", "annotations": [], "logprobs": halves}
    body = {"input": [{"type": "message", "role": "assistant", "content": [part]}]}
    assert any(SAID in span.text for span in FORMATS["openai-responses"].request_spans(body))


# what a stream makes us keep


def test_a_stream_for_gemini_keeps_no_words_and_only_so_much_of_calls_and_thoughts(monkeypatch):
    monkeypatch.setattr("extproc.formats.gemini.answers._MAX_KEPT", 100)
    encoder = FORMATS["gemini"].codec.encoder(Context("r", "m", 1), Losses())
    encoder.encode(PartStart(0, 0, Text("")))
    assert all(encoder.encode(PartDelta(0, 0, "word " * 10)) for _ in range(10))
    for number, part in enumerate((Reasoning(""), ToolCall("c", "f")), 1):
        encoder = FORMATS["gemini"].codec.encoder(Context("r", "m", 1), Losses())
        encoder.encode(PartStart(0, number, part))
        encoder.encode(PartDelta(0, number, "x" * 100))
        with pytest.raises(LimitExceeded):
            encoder.encode(PartDelta(0, number, "x"))


def test_a_call_cannot_wait_for_its_name_forever():
    decoder = FORMATS["openai-chat"].codec.decoder()

    def more(size, **named):
        call = {"index": 0, "id": "c", "function": {"arguments": "x" * size, **named}}
        return decoder.decode("", s.sse({"tool_calls": [call]}).removeprefix(b"data: "))

    more(1000)
    told = more(1000, name="f")
    assert [each.text for each in told if isinstance(each, PartDelta)] == ["x" * 2000]
    decoder = FORMATS["openai-chat"].codec.decoder()
    more(1 << 20)
    with pytest.raises(DecodeError):
        more(1)


@pytest.mark.parametrize("bad", [b'data: {"choices": 5}\n\n', b"data: {\n\n", b"data: \xff\n\n"])
@pytest.mark.parametrize("attach", ["", "attach: []\n"])
def test_what_is_good_before_a_broken_event_leaves_however_it_was_cut(tmp_path, bad, attach):
    text = f'providers: {{o: {{type: openai, base_url: "http://h/v1", keys: none}}}}\nmodels: {{"*": o}}\n{attach}'
    runtime = s.compiled(text, tmp_path)
    stream = b"".join([s.sse({"content": "some good words. "}) for _ in range(3)]) + bad + s.sse({"content": "after"})

    def told(size):
        exchange = RouterExchange(runtime)
        exchange.receive(s.chat_headers(**{":path": "/v1/messages"}))
        exchange.receive(events.RequestBody(s.chat("hi", max_tokens=5, stream=True), True))
        exchange.receive(s.answer_headers("text/event-stream"))
        found = b""
        for at in range(0, len(stream), size):
            effects = exchange.receive(events.ResponseBody(stream[at : at + size], at + size >= len(stream)))
            found += b"".join(effect.body for effect in effects if isinstance(effect, events.Send))
        assert exchange.record.error == "upstream_malformed"
        return found

    whole = told(len(stream))
    assert b"some good words" in whole
    assert b"after" not in whole
    assert whole.count(b"event: error") == 1
    assert all(told(size) == whole for size in (1, 7, 100))
