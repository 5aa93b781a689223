"""Converse in and out of the canonical form: what was recorded, what can be said, whatever a broken upstream sends."""

import copy
import itertools
import json
import random
from base64 import b64decode
from dataclasses import replace

import botocore.parsers
import botocore.session
import pytest
from botocore.eventstream import EventStreamBuffer
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from extproc.chat.answer import (
    FailureKind,
    Finish,
    Finished,
    PartDelta,
    Start,
    Used,
)
from extproc.chat.codec import Context
from extproc.chat.fold import fold, unfold
from extproc.chat.losses import Losses
from extproc.chat.parts import Media, ToolCall, ToolResult
from extproc.errors import DecodeError, Unrepresentable
from extproc.formats.bedrock.codec import ConverseCodec
from extproc.framing.aws import NAMED
from tests.golden.bedrock import all_answers, all_streams, published, recorded
from tests.golden.canonical import Can, answers, bare, joined, lawful, requests, streams
from tests.support import data

CODEC = ConverseCodec()
CONTEXT = Context("r1", "m", 17)
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
SERVICE = botocore.session.get_session().get_service_model("bedrock-runtime")


# what was recorded


MEANT = {"input", "content", "auto", "any", "properties"}


def pruned(value):
    """A request without what stands for nothing, and with results of tools as they are written back."""
    if isinstance(value, list):
        return [pruned(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"json"} and not (isinstance(value["json"], dict) and "type" in value["json"]):
        return {"text": json.dumps(value["json"], separators=(",", ":"), ensure_ascii=False)}
    found = {name: pruned(each) for name, each in value.items() if each not in ([], {}) or name in MEANT}
    if found.get("status") == "success":
        del found["status"]
    return found


LOST = {"promptVariables", "additionalModelResponseFieldPaths", "performanceConfig"}


@pytest.mark.data
def test_recorded_requests_are_written_as_they_were_read():
    count = 0
    for name, model, body, _, _ in recorded("converse", "converse-stream"):
        lost = Losses()
        if body.get("guardrailConfig"):
            with pytest.raises(Unrepresentable):
                CODEC.decode_request(body, lost, model=model)
            body = {key: value for key, value in body.items() if key != "guardrailConfig"}
        request = CODEC.decode_request(body, lost, model=model, stream=True)
        assert (request.model, request.stream) == (model, True)
        written = CODEC.encode_request(request, lost)
        wanted = {key: value for key, value in body.items() if key not in LOST}
        if "test" in wanted.get("additionalModelRequestFields", {}):
            del wanted["additionalModelRequestFields"]
        told = {path for path, _ in lost.found}
        if any("reasoningContent" in str(each) for each in wanted["messages"]) and "claude" not in model:
            continue
        assert pruned(written) == pruned(wanted), (name, told)
        assert not told - LOST - {"additionalModelRequestFields.test"}, name
        count += 1
    assert count > 25


def untyped(value):
    """A message without types that say what its members do."""
    if isinstance(value, list):
        return [untyped(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {key: untyped(each) for key, each in value.items() if key != "type" or each not in ("text", "tool_use")}


@pytest.mark.data
def test_recorded_answers_are_written_as_they_were_read():
    count = 0
    for name, body in all_answers():
        lost = Losses()
        written = CODEC.encode_answer(CODEC.decode_answer(body), CONTEXT, lost)
        assert written["output"] == {"message": untyped(body["output"]["message"])}, name
        assert written["stopReason"] == body["stopReason"], name
        usage = body.get("usage")
        if usage:
            assert {key: written["usage"].get(key, 0) for key in usage if "Tokens" in key and "TokenC" not in key} == {
                key: value for key, value in usage.items() if "Tokens" in key and "TokenC" not in key
            }, name
        assert not lost.count, name
        count += 1
    assert count > 20


@pytest.mark.data
def test_recorded_errors_keep_their_words():
    for _, _, _, status, raw in recorded("converse"):
        if status >= 400:
            failure = CODEC.decode_error(status, json.loads(raw))
            assert failure.kind is FailureKind.INVALID
            assert CODEC.encode_error(failure) == json.loads(raw)


def decoded(pieces):
    reader, decoder = NAMED.reader(1 << 20), CODEC.decoder()
    found = []
    for piece in pieces:
        for event in reader.feed(piece):
            found += decoder.decode(event.name, event.data)
    for event in reader.close():
        found += decoder.decode(event.name, event.data)
    return found + decoder.close()


def encoded(events):
    lost = Losses()
    encoder = CODEC.encoder(CONTEXT, lost)
    return b"".join([*(encoder.encode(event) for event in events), encoder.close()]), lost


@pytest.mark.data
def test_recorded_streams_give_lawful_events_however_they_are_cut():
    for name, raw in all_streams():
        whole = decoded([raw])
        lawful(whole)
        assert isinstance(whole[-1], (Used, Finished)), name
        assert decoded([raw[at : at + 1] for at in range(len(raw))]) == whole, name
        for seed in range(10):
            dice = random.Random(seed)
            places = sorted(dice.choices(range(len(raw)), k=5))
            assert decoded([raw[a:b] for a, b in zip([0, *places], [*places, len(raw)], strict=True)]) == whole, name


@pytest.mark.data
def test_recorded_streams_are_written_as_they_were_read():
    for name, raw in all_streams():
        events = decoded([raw])
        written, lost = encoded(events)
        again = decoded([written])
        said = {(each.choice, each.number) for each in events if isinstance(each, PartDelta)}
        shown = [each for each in events if getattr(each, "number", None) is None or (0, each.number) in said]
        assert fold(again) == fold(renumbered(shown)), name
        assert not lost.count, name


def renumbered(events):
    """Events whose parts are counted again, after some went."""
    numbers = {}
    found = []
    for event in events:
        event = copy.copy(event)
        if hasattr(event, "number"):
            event.number = numbers.setdefault(event.number, len(numbers))
        found.append(event)
    return found


@pytest.mark.data
def test_a_stream_and_its_whole_answer_are_one():
    """Published in both forms."""
    count = 0
    folder = data("wire_raw/bedrock")
    for path in folder.glob("*.chunks.txt"):
        whole = folder / path.name.replace(".chunks.txt", ".json")
        raw = dict(published())[path.name]
        answer = fold(decoded([raw]))
        assert answer.choices[0].finish is not None
        if whole.exists():
            wanted = CODEC.decode_answer(json.loads(whole.read_text("utf-8")))
            assert [type(each) for each in answer.choices[0].parts] == [type(each) for each in wanted.choices[0].parts]
            count += 1
    assert count


@pytest.mark.data
def test_broken_streams_never_raise_anything_else():
    dice = random.Random(7)
    for _, raw in all_streams():
        events = list(NAMED.reader(1 << 20).feed(raw))
        for _ in range(30):
            kept = [each for each in events for _ in range(dice.choice([0, 1, 1, 1, 2]))]
            if dice.random() < 0.2:
                dice.shuffle(kept)
            try_decoding([each.data for each in kept[: dice.randint(0, len(kept))]])


def try_decoding(events):
    decoder = CODEC.decoder()
    found = []
    for each in events:
        try:
            found += decoder.decode("", each)
        except DecodeError:
            return
    found += decoder.close()
    lawful(found)
    encoded(found)


EVENTS = (
    "messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata",
    "throttlingException", "other",
)  # fmt: skip
NAMES = (
    "contentBlockIndex", "delta", "start", "text", "toolUse", "toolUseId", "name", "input", "reasoningContent", "signature",
    "redactedContent", "toolResult", "content", "image", "source", "bytes", "format", "citation", "stopReason", "usage",
    "inputTokens", "type", "message", "additionalModelResponseFields", "stop_sequence",
)  # fmt: skip
ANY = st.recursive(
    st.sampled_from([None, True, 0, 1, -1, 1.5, "", "a", "{}", "png", "server_tool_use", "end_turn", "\ud800"[:0]]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)
INDEX = st.sampled_from([0, 0, 1, "0"])
STARTS = st.sampled_from(["toolUse", "toolResult", "image", "x"])
LIKELY = st.one_of(
    st.fixed_dictionaries(
        {"contentBlockIndex": INDEX, "delta": st.dictionaries(st.sampled_from(NAMES[3:19]), ANY, max_size=2)}
    ),
    st.fixed_dictionaries({"contentBlockIndex": INDEX, "start": st.dictionaries(STARTS, ANY, max_size=1)}),
    ANY,
)


@given(st.lists(st.tuples(st.sampled_from(EVENTS), LIKELY), max_size=8))
def test_any_events_are_read_or_refused(said):
    try_decoding([json.dumps({name: value}).encode() for name, value in said])


@given(ANY)
def test_any_answer_is_read_or_refused(value):
    for body in (
        value,
        {"output": value},
        {"output": {"message": {"content": [value]}}},
        {"output": {"message": value}},
    ):
        try:
            answer = CODEC.decode_answer(body)
        except DecodeError:
            continue
        json.dumps(CODEC.encode_answer(answer, CONTEXT, Losses()))
    CODEC.decode_error(500, value)


KEYS = (
    "messages", "role", "content", "text", "system", "toolUse", "toolResult", "toolUseId", "name", "input", "json", "image",
    "document", "video", "format", "source", "bytes", "s3Location", "uri", "cachePoint", "guardContent", "reasoningContent",
    "inferenceConfig", "maxTokens", "toolConfig", "tools", "toolSpec", "inputSchema", "toolChoice", "auto", "tool",
    "additionalModelRequestFields", "thinking", "type", "outputConfig", "textFormat", "structure", "jsonSchema", "schema",
)  # fmt: skip
REQUESTS = st.recursive(
    st.sampled_from([None, True, 0, 7, 1.5, "", "a b", "user", "assistant", "enabled", "json_schema", "{}", "png"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=16,
)


@given(st.dictionaries(st.sampled_from(KEYS), REQUESTS, max_size=6), REQUESTS)
def test_any_request_is_read_or_refused(body, block):
    for each in (body, {**body, "messages": [{"role": "user", "content": [block]}]}):
        try:
            request = CODEC.decode_request(each, Losses(), model=CLAUDE)
            json.dumps(CODEC.encode_request(request, Losses()))
        except (DecodeError, Unrepresentable):
            pass


# what can be said

CAN = Can(
    mixed=True,
    makers=("claude",),
    sealed=("claude",),
    caches=True,
    finishes=(Finish.STOP, Finish.LENGTH, Finish.STOP_SEQUENCE, Finish.FILTER),
    stopped_by=True,
    usage=("cached", "cache_write"),
    created=False,
    settings={
        "max_output": st.integers(1, 5000),
        "temperature": st.floats(0, 1),
        "top_p": st.floats(0, 1),
        "top_k": st.integers(1, 50),
        "stop": st.lists(st.text(min_size=1, max_size=5), max_size=2),
        "service_tier": st.sampled_from(["", "flex"]),
    },
    media=(
        Media("image", data="iVBORw0KGgo=", type="image/png"),
        Media("file", data="JVBERi0xLjQK", type="application/pdf", name="a paper"),
        Media("video", url="s3://films/one.mp4", type="video/mp4"),
        Media("file", text="words", type="text/plain", name="words"),
    ),
    results_first=True,
    shapes=True,
)  # fmt: skip


OPEN = replace(CAN, sealed=())
"""The same but for what botocore insists must be base64: the sealed reasoning drawn at random is not."""


def told(answer):
    """An answer with what Converse does not tell left out."""
    answer = copy.deepcopy(answer)
    answer.id = answer.model = ""
    return answer


def meant(parts):
    """Parts with the arguments of calls as values: their spelling is not kept."""
    return [
        (part.id, part.name, json.loads(part.arguments)) if isinstance(part, ToolCall) else part for part in bare(parts)
    ]


@given(answers(CAN))
def test_answers_come_back_as_they_went(answer):
    lost = Losses()
    written = CODEC.encode_answer(answer, CONTEXT, lost)
    again, wanted = CODEC.decode_answer(written), told(answer)
    assert meant(again.choices[0].parts) == meant(wanted.choices[0].parts)
    assert (again.usage, again.choices[0].finish, again.choices[0].stopped_by) == (
        wanted.usage, wanted.choices[0].finish, wanted.choices[0].stopped_by,
    )  # fmt: skip
    assert not lost.count


@given(answers(OPEN))
def test_botocore_reads_the_answers_that_are_written(answer):
    written = CODEC.encode_answer(answer, CONTEXT, Losses())
    parsed = botocore.parsers.create_parser("rest-json").parse(
        {"status_code": 200, "headers": {}, "body": json.dumps(written).encode()},
        SERVICE.operation_model("Converse").output_shape,
    )
    assert len(parsed["output"]["message"]["content"]) == len(answer.choices[0].parts)


@given(st.data(), answers(CAN))
def test_streams_come_back_as_they_went(draw, answer):
    events = draw.draw(streams(answer))
    raw, lost = encoded(events)
    again = decoded([raw])
    lawful(again)
    wanted = [Start() if isinstance(each, Start) else each for each in joined(events)]
    assert joined(again) == wanted
    assert not lost.count
    assert bare(fold(again)) == bare(told(fold(events)))
    assert decoded([encoded(list(unfold(answer)))[0]])


@given(st.data(), answers(OPEN))
def test_botocore_reads_the_streams_that_are_written(draw, answer):
    raw, _ = encoded(draw.draw(streams(answer)))
    buffer = EventStreamBuffer()
    buffer.add_data(raw)
    parser = botocore.parsers.EventStreamJSONParser()
    shape = SERVICE.operation_model("ConverseStream").get_event_stream_output()
    parsed = [parser.parse(each.to_response_dict(), shape) for each in buffer]
    names = [name for each in parsed for name in each]
    assert names[0] == "messageStart"
    assert names[-2:] == ["messageStop", "metadata"]


@given(requests(CAN))
def test_requests_come_back_as_they_went(request):
    request.model = CLAUDE
    lost = Losses()
    written = CODEC.encode_request(request, lost)
    again = CODEC.decode_request(json.loads(json.dumps(written)), lost, model=request.model, stream=request.stream)
    again.usage = request.usage
    if not lost.count:
        left, right = bare(again), bare(request)
        for each in (left, right):
            each.messages = [(message.role, meant(message.parts)) for message in together(each.messages)]
        for part in [each for _, parts in right.messages for each in parts if isinstance(each, ToolResult)]:
            part.name = ""  # results are told by the id of their call
        assert left == right


def together(messages):
    """Messages of one role after another are one."""
    found = []
    for message in messages:
        if found and found[-1].role == message.role:
            found[-1].parts += message.parts
        else:
            found.append(copy.deepcopy(message))
    return found


@given(requests(CAN))
def test_botocore_takes_the_requests_that_are_written(request):
    """Its validation knows the types and the members that must be there; patterns and unions it does not."""
    request.model = CLAUDE
    written = CODEC.encode_request(request, Losses())
    kept = {**written, "modelId": CLAUDE}
    for holder in kept["messages"]:
        for block in holder["content"]:
            assert len(block) == 1
            source = block.get("image", block.get("document", {})).get("source", {})
            if "bytes" in source:
                source["bytes"] = b64decode(source["bytes"])
    report = ParamValidator().validate(kept, SERVICE.operation_model("Converse").input_shape)
    assert not report.has_errors(), report.generate_report()
    roles = [message["role"] for message in written["messages"]]
    assert roles[0] == "user"
    assert all(one != other for one, other in itertools.pairwise(roles))
