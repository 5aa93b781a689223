"""InvokeModel: Claude's bodies in AWS's chunks, every other maker's string by string."""

import json

import pytest

from extproc.chat.answer import Failure, FailureKind, Start, Usage
from extproc.chat.codec import Context
from extproc.chat.fold import fold, unfold
from extproc.chat.losses import Losses
from extproc.chat.parts import Text
from extproc.errors import DecodeError
from extproc.formats.anthropic import AnthropicMessages
from extproc.formats.bedrock import Invoke, InvokeClaude
from extproc.framing.aws import CARRIED, carrying, framed
from extproc.policy.api import Action, Scope
from tests.property.streams import policy, words
from tests.unit.formats.bedrock.support import MAIL, Run

FORMAT = Invoke()
CLAUDE = InvokeClaude()
CONTEXT = Context("r1", "anthropic.claude-3-haiku-20240307-v1:0", 17)


def chunks(*values):
    return b"".join([carrying(json.dumps(value).encode()) for value in values])


def read(raw):
    return [(event.name, json.loads(event.data)) for event in CARRIED.reader(1 << 20).feed(raw)]


# any maker


@pytest.mark.parametrize(
    ("body", "scopes"),
    [
        ({"prompt": "a b", "max_gen_len": 5}, {"a b": Scope.USER}),
        (
            {"inputText": "a b", "textGenerationConfig": {"stopSequences": ["c d"]}},
            {"a b": Scope.USER, "c d": Scope.USER},
        ),
        (
            {
                "system": [{"text": "s s"}],
                "messages": [{"role": "assistant", "content": [{"text": "a b"}]}, {"role": "x", "content": "u u"}],
            },
            {
                "s s": Scope.SYSTEM,
                "assistant": Scope.ASSISTANT,
                "a b": Scope.ASSISTANT,
                "x": Scope.USER,
                "u u": Scope.USER,
            },
        ),
        (
            {"message": "a b", "preamble": "s s", "chat_history": [{"role": "CHATBOT", "message": "c d"}, "e f"]},
            {
                "a b": Scope.USER,
                "s s": Scope.SYSTEM,
                "CHATBOT": Scope.ASSISTANT,
                "c d": Scope.ASSISTANT,
                "e f": Scope.USER,
            },
        ),
    ],
)
def test_every_string_of_a_body_is_a_text(body, scopes):
    assert {span.text: span.scope for span in FORMAT.request_spans(body)} == scopes


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        ({"messages": [{"content": [{"image": {}}]}]}, ["image"]),
        ({"messages": [{"content": [{"type": "image_url"}]}]}, ["image"]),
        ({"images": ["x"]}, ["image"]),
        ({"messages": "x"}, []),
        ({"messages": [7, {"content": [7]}]}, []),
    ],
)
def test_pictures_are_named(body, kinds):
    assert FORMAT.unscanned(body) == kinds


MAKERS = [
    ("meta.llama3-8b-instruct-v1:0", lambda text: {"generation": text}),
    ("amazon.titan-text-lite-v1", lambda text: {"outputText": text, "index": 0}),
    ("us.amazon.nova-pro-v1:0", lambda text: {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": text}}}),
    ("mistral.mistral-7b-instruct-v0:2", lambda text: {"outputs": [{"text": text, "stop_reason": None}]}),
    ("cohere.command-r-v1:0", lambda text: {"text": text, "is_finished": False}),
    ("openai.gpt-oss-20b-1:0", lambda text: {"choices": [{"index": 0, "delta": {"content": text}}]}),
]


@pytest.mark.parametrize(("model", "chunk"), MAKERS)
def test_a_text_goes_on_in_the_next_chunk(model, chunk):
    out = Run([MAIL], chunks(*(chunk(text) for text in ("to jane@", "exam", "ple.com!", ""))), format_=FORMAT).out
    texts = [piece.text for _, value in read(out) for piece in FORMAT.delta(value).pieces]
    assert "".join(texts) == "to [mail]!"


@pytest.mark.parametrize(("model", "chunk"), MAKERS)
def test_a_stream_ends_in_its_makers_way(model, chunk):
    for seen in ([], [chunk("one")], [chunk("one"), chunk("two")]):
        ending = FORMAT.ending()
        for value in seen:
            ending.see(value)
        found = [value for _, value in read(ending.end("stopped"))]
        texts = [piece.text for value in found for piece in FORMAT.delta(value).pieces]
        assert "stopped" in texts
        assert FORMAT.delta(found[-1]).final
        if seen:
            assert any(set(chunk("x")) <= set(value) for value in found)
        for value in found:
            ending.see(value)
        assert ending.end("again") == b""
        assert "one" not in texts


@pytest.mark.parametrize(("model", "chunk"), MAKERS)
@pytest.mark.parametrize("refuses", [False, True])
def test_a_reply_is_said_in_its_makers_way(model, chunk, refuses):
    whole = json.loads(FORMAT.reply("no way", model, "r1", 17, refuses=refuses))
    assert "no way" in [span.text for span in FORMAT.response_spans(whole)]
    found = [value for _, value in read(FORMAT.reply_stream("no way", model, "r1", 17, refuses=refuses))]
    assert (
        "".join(piece.text for value in found for piece in FORMAT.delta(value).pieces if piece.text == "no way")
        == "no way"
    )
    assert FORMAT.delta(found[-1]).final
    assert any(set(chunk("x")) <= set(value) for value in found)
    assert FORMAT.usage(whole) in (Usage(), None)


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        ({"amazon-bedrock-invocationMetrics": {"inputTokenCount": 5, "outputTokenCount": 7}}, Usage(5, 7)),
        ({"prompt_token_count": 5, "generation_token_count": 7}, Usage(5, 7)),
        ({"usage": {"prompt_tokens": 5, "completion_tokens": 7}}, Usage(5, 7)),
        ({"usage": {"inputTokens": 5, "outputTokens": 7}}, Usage(5, 7)),
        ({"metadata": {"usage": {"inputTokens": 5, "outputTokens": 7}}}, Usage(5, 7)),
        ({"inputTextTokenCount": 5, "totalOutputTextTokenCount": 7}, Usage(5, 7)),
        ({"usage": {"prompt_tokens": "5", "completion_tokens": 7}}, None),
        ({}, None),
        ([], None),
        (None, None),
    ],
)
def test_usage_in_every_makers_way(body, usage):
    assert FORMAT.usage(body) == usage


def test_an_answer_that_is_cut_says_nothing_after_it():
    body = {"results": [{"outputText": "a b", "completionReason": "FINISH"}, {"outputText": "c d"}], "n": 1}
    path = ("results", 0, "outputText")
    assert FORMAT.cut(body, path, "a") == {
        path: b'"a"',
        ("results", 0, "completionReason"): b'""',
        ("results", 1, "outputText"): b'""',
    }
    assert FORMAT.cut(body, ("x",), "a") == {("x",): b'"a"'}


def test_what_repeats_the_whole_answer_stands_alone():
    delta = FORMAT.delta({"is_finished": True, "response": {"text": "all of it"}, "finish_reason": "COMPLETE"})
    assert all(piece.joined for piece in delta.pieces)
    assert delta.final


def test_errors_are_those_of_aws():
    for format_ in (FORMAT, CLAUDE):
        assert format_.error_headers(429) == (("x-amzn-errortype", "ThrottlingException"),)
        assert json.loads(format_.error(400, "c", "m", "k")) == {"message": "m"}
        assert read(format_.error_event("c", "m", "api_error")) == [
            ("internalServerException", {"internalServerException": {"message": "m"}})
        ]
        assert (format_.family, format_.model({"model": "m"}), format_.streamed({"stream": True})) == (
            "aws",
            None,
            False,
        )


# Claude


ANTHROPIC = AnthropicMessages()


def test_claude_is_guarded_as_anthropics_messages_are():
    body = {
        "anthropic_version": "bedrock-2023-05-31",
        "system": "s s",
        "messages": [{"role": "user", "content": "a b"}],
    }
    assert CLAUDE.request_spans(body) == ANTHROPIC.request_spans(body)
    values = [
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
            for text in ("jane@ex", "ample.com")
        ),
        {"type": "content_block_stop", "index": 0},
    ]
    out = read(Run([MAIL], chunks(*values), format_=CLAUDE).out)
    assert [value.get("delta", {}).get("text") for _, value in out] == [None, "[mail]", "", None]
    exception = {"throttlingException": {"message": "a b"}}
    assert [piece.text for piece in CLAUDE.delta(exception).pieces] == ["a b"]


def test_what_is_said_for_claude_is_carried():
    for refuses in (False, True):
        wanted = [
            json.loads(line[6:])
            for line in ANTHROPIC.reply_stream("no", "m", "r1", 1, refuses=refuses).split(b"\n")
            if line.startswith(b"data: ")
        ]
        assert [value for _, value in read(CLAUDE.reply_stream("no", "m", "r1", 1, refuses=refuses))] == wanted
    assert CLAUDE.reply("no", "m", "r1", 1) == ANTHROPIC.reply("no", "m", "r1", 1)
    ending = CLAUDE.ending()
    ending.see({"type": "message_start", "message": {}})
    ending.see({"type": "content_block_start", "index": 0})
    kinds = [value["type"] for _, value in read(ending.end("no"))]
    assert kinds == [
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_claude_goes_in_and_out_of_the_canonical_form():
    codec = CLAUDE.codec
    body = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "a b"}],
    }
    lost = Losses()
    request = codec.decode_request(
        {**body, "model": "x", "stream": False}, lost, model="anthropic.claude-v2", stream=True
    )
    assert (request.model, request.stream) == ("anthropic.claude-v2", True)
    written = codec.encode_request(request, lost)
    assert written["messages"][0]["role"] == "user"
    assert {key: value for key, value in written.items() if key != "messages"} == {
        key: value for key, value in body.items() if key != "messages"
    }
    assert not lost.count
    assert codec.decode_error(429, {"message": "slow"}).kind is FailureKind.RATE_LIMIT
    assert codec.encode_error(Failure(FailureKind.INTERNAL, "m")) == {"message": "m"}
    assert codec.name == CLAUDE.name


def decoded(raw):
    decoder = CLAUDE.codec.decoder()
    found = [each for event in CARRIED.reader(1 << 20).feed(raw) for each in decoder.decode(event.name, event.data)]
    return found + decoder.close()


def test_streams_of_claude():
    answer = fold(decoded(CLAUDE.reply_stream("no way", "m", "r1", 1)))
    assert answer.choices[0].parts == [Text("no way")]
    encoder = CLAUDE.codec.encoder(CONTEXT, Losses())
    raw = b"".join([*(encoder.encode(each) for each in unfold(answer)), encoder.close()])
    assert fold(decoded(raw)).choices == answer.choices
    assert all(name == "chunk" for name, _ in read(raw))


def test_streams_of_claude_that_fail():
    start = carrying(b'{"type":"message_start","message":{"id":"m","model":"c"}}')
    raw = start + framed("throttlingException", b'{"message":"slow"}', "exception") + start
    assert decoded(raw)[-1] == Failure(FailureKind.RATE_LIMIT, "slow", "throttlingException", 429)
    assert decoded(start)[-1].code == "stream_truncated"
    with pytest.raises(DecodeError):
        CLAUDE.codec.decoder().decode("throttlingException", b"[]")
    encoder = CLAUDE.codec.encoder(CONTEXT, Losses())
    out = encoder.encode(Start()) + encoder.encode(Failure(FailureKind.OVERLOADED, "busy"))
    assert read(out)[-1] == ("serviceUnavailableException", {"serviceUnavailableException": {"message": "busy"}})
    assert encoder.encode(Failure(FailureKind.INTERNAL, "m")) == encoder.close() == b""
    encoder = CLAUDE.codec.encoder(CONTEXT, Losses())
    encoder.encode(Start())
    assert read(encoder.close())[-1][0] == "internalServerException"


def test_a_block_of_a_policy_ends_a_stream_in_an_exception():
    stop = policy("p", words("zyzzyva"), action=Action.BLOCK)
    out = Run([stop], chunks({"generation": "a word "}), chunks({"generation": "zyzzyva"}), format_=FORMAT).out
    assert read(out)[-1][0] == "validationException"
