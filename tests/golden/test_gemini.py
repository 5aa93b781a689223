"""Gemini's codec on everything recorded: nothing that counts is lost, cuts never show, broken input never crashes."""

import copy
import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extproc.chat.answer import Answer, Failure, Finish, Used
from extproc.chat.codec import Context
from extproc.chat.fold import fold, unfold
from extproc.chat.losses import Losses
from extproc.errors import DecodeError, Unrepresentable
from extproc.formats.gemini.schema import json_schema
from extproc.framing.jsontext import parse
from tests.golden.gemini import CODEC, FORMAT, answers, bare, bodies, decoded, joined, payloads, requests, streams

pytestmark = pytest.mark.data

CONTEXT = Context("r1", "m", 17)


def normal(body):
    """A recorded request as we would write it. Each line is something that may differ."""
    body = json.loads(json.dumps(body).replace('"file_uri"', '"fileUri"').replace('"mime_type"', '"mimeType"'))
    body = json.loads(json.dumps(body).replace('"parameters_json_schema"', '"parametersJsonSchema"'))
    body.get("systemInstruction", {}).pop("role", None)  # means nothing there
    for tool in body.get("tools", []):
        for function in tool.get("functionDeclarations", []):
            if not function["description"]:
                del function["description"]
            if "parameters" in function:  # the same schema in JSON Schema
                function["parametersJsonSchema"] = json_schema(function.pop("parameters"))
    calling = body.get("toolConfig", {}).get("functionCallingConfig", {})
    if calling.get("mode") == "VALIDATED":  # a loss
        calling["mode"] = "AUTO"
    if body.get("generationConfig") == {}:
        del body["generationConfig"]
    return body


def test_every_request_survives():
    count = 0
    for name, model, body in requests():
        losses, written = Losses(), Losses()
        request = CODEC.decode_request(body, losses, model=model, stream=True)
        assert request.model == model
        assert {reason for _, reason in losses.found} <= {"only Gemini's"}, name
        again = CODEC.encode_request(request, written)
        assert not written.found, name
        assert again == normal(body), name
        assert bare(CODEC.decode_request(again, Losses(), model=model, stream=True)) == bare(request), name
        count += 1
    assert count > 20


def test_every_answer_survives():
    count = 0
    for name, body in answers():
        answer = CODEC.decode_answer(body)
        losses = Losses()
        again = CODEC.encode_answer(answer, CONTEXT, losses)
        assert not losses.found, name
        assert bare(CODEC.decode_answer(again)) == bare(
            Answer(answer.id or "r1", answer.model or "m", answer.created or 17, answer.choices, answer.usage)
        ), name
        for old, new in zip(body.get("candidates", []), again["candidates"], strict="candidates" in body):
            parts = copy.deepcopy(new["content"]["parts"])
            for part in parts:
                if "functionCall" in part:
                    assert part["functionCall"].pop("id").startswith("call_"), "it came without one"
            assert parts == old.get("content", {}).get("parts", []), name
            assert CODEC.decode_answer({"candidates": [{"finishReason": new["finishReason"]}]}).choices[0].finish in (
                Finish.OTHER,
                CODEC.decode_answer({"candidates": [{"finishReason": old["finishReason"]}]}).choices[0].finish,
            ), name
        if "usageMetadata" in body:
            assert again["usageMetadata"]["totalTokenCount"] == body["usageMetadata"]["totalTokenCount"], name
        count += 1
    assert count > 25


def test_every_error_is_understood():
    found = {}
    for name, body in bodies():
        if "error" in body:
            failure = CODEC.decode_error(body["error"]["code"], body)
            assert failure == CODEC.decode_error(0, [body])
            assert failure.message == body["error"]["message"]
            assert bare(CODEC.decode_error(failure.status, CODEC.encode_error(failure))).code == failure.code
            found[name.partition("__")[2].rpartition(".")[0]] = (failure.kind.value, failure.code)
    assert len(found) >= 8
    assert found["unary-failure-api-key"] == ("authentication", "API_KEY_INVALID")
    assert found["unary-failure-model-not-found"] == ("not_found", "NOT_FOUND")


def whole(payload):
    """What the events of a stream come to when they are read as one answer."""
    return CODEC.decode_answer([json.loads(each) for each in payload])


def test_every_stream_comes_to_the_whole_answer():
    assert len(streams()) >= 10
    for name, raw in streams().items():
        payload = payloads([raw])
        events = decoded(payload)
        if "malformed" in name:
            assert isinstance(events[-1], Failure)
            continue
        assert bare(fold(events)) == bare(whole(payload)), name
        assert fold(events).choices[0].finish is not None
        assert fold(events).usage == FORMAT.usage([json.loads(each) for each in payload]), name


def encoded(events):
    losses = Losses()
    encoder = CODEC.encoder(CONTEXT, losses)
    return b"".join([encoder.encode(event) for event in events] + [encoder.close()]), losses


def test_every_stream_is_the_same_after_it_was_written():
    for name, raw in streams().items():
        events = decoded(payloads([raw]))
        used = [event for event in events if isinstance(event, Used)][-1:]
        said = [event for event in events if not isinstance(event, Used)]
        again, losses = encoded([*said, *used])
        assert not losses.found, name
        second = decoded(payloads([again]))
        if isinstance(events[-1], Failure):
            assert second == [events[-1]], name
            continue
        ours = [event for event in second if not isinstance(event, Used)]
        named = {"id": said[0].id or "r1", "model": said[0].model or "m", "created": said[0].created or 17}
        assert all(getattr(ours[0], key) == value for key, value in named.items()), name
        assert joined(ours[1:]) == joined(said[1:]), name
        assert [event for event in second if isinstance(event, Used)] == used, name


def test_an_answer_that_came_whole_makes_a_stream():
    for name, body in answers():
        answer = CODEC.decode_answer(body)
        again, losses = encoded(unfold(answer))
        found = fold(decoded(payloads([again])))
        assert not losses.found, name
        assert bare(found.choices) == bare(answer.choices), name
        assert found.usage == answer.usage, name


def test_no_cut_of_a_stream_shows():
    dice = random.Random(3)
    for name, raw in streams().items():
        wanted = payloads([raw])
        events = decoded(wanted)
        assert payloads([raw[at : at + 1] for at in range(len(raw))]) == wanted, name
        places = range(1, len(raw)) if len(raw) < 5000 else dice.sample(range(1, len(raw)), 200)
        for at in places:
            found = payloads([raw[:at], raw[at:]])
            assert found == wanted, (name, at)
        assert decoded(found) == events, name


# what is broken


def tried(payload):
    """Read a stream that may be broken: events that keep the rules, or a DecodeError."""
    try:
        events = decoded(payload)
    except DecodeError:
        return None
    answer = fold(events)
    again, _ = encoded(events)
    assert isinstance(answer, Failure) or bare(fold(decoded(payloads([again]))).choices) is not None
    return answer


def test_streams_that_are_cut_off_or_lack_events():
    for raw in streams().values():
        payload = payloads([raw])
        for at in range(len(payload)):
            assert tried(payload[:at] + payload[at + 1 :]) is not None
            assert tried(payload[: at + 1] + payload[at:]) is not None, "events may come twice"
            answer = tried(payload[:at])
            assert at == 0 or answer is not None
            tried([*payload[:at], payload[at][: len(payload[at]) // 2]])
        assert isinstance(tried([]), Failure)


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=3,
)


def places(value, at=()):
    yield at
    for key, child in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(child, (*at, key))


def mutated(draw, value):
    """A value with junk in one place, or one member gone, or spelled otherwise."""
    value = copy.deepcopy(value)
    *around, last = draw.draw(st.sampled_from([at for at in places(value) if at]))
    inside = value
    for key in around:
        inside = inside[key]
    action = draw.draw(st.sampled_from(["junk", "gone", "snake", "both"]))
    if action == "junk":
        inside[last] = draw.draw(JUNK)
    elif action == "gone":
        del inside[last]
    elif isinstance(last, str):
        other = "".join("_" + each.lower() if each.isupper() else each for each in last)
        child = inside.pop(last) if action == "snake" else inside[last]
        inside[other] = child
    return parse(json.dumps(value).encode())


SEARCH = settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


@SEARCH
@given(st.data())
def test_broken_requests_are_refused_in_order(draw):
    body = mutated(draw, draw.draw(st.sampled_from([body for _, _, body in requests()])))
    FORMAT.request_spans(body)
    FORMAT.unscanned(body)
    try:
        request = CODEC.decode_request(body, Losses(), model="gemini-2.5-pro")
        CODEC.encode_request(request, Losses())
    except (DecodeError, Unrepresentable):
        return


@SEARCH
@given(st.data())
def test_broken_answers_are_refused_in_order(draw):
    body = mutated(draw, draw.draw(st.sampled_from([body for _, body in answers() if len(str(body)) < 9000])))
    FORMAT.response_spans(body)
    FORMAT.usage(body)
    FORMAT.echoes(body, set())
    try:
        answer = CODEC.decode_answer(body)
        CODEC.encode_answer(answer, CONTEXT, Losses())
    except DecodeError:
        pass
    tried([json.dumps(body).encode()])
    CODEC.decode_error(500, body)


@SEARCH
@given(st.data())
def test_broken_errors_are_understood(draw):
    body = mutated(draw, draw.draw(st.sampled_from([body for _, body in bodies() if "error" in body])))
    CODEC.encode_error(CODEC.decode_error(draw.draw(st.sampled_from([0, 400, 503])), body))


@SEARCH
@given(JUNK)
def test_junk_is_refused_in_order(value):
    value = parse(json.dumps(value).encode())
    CODEC.decode_error(500, value)
    FORMAT.response_spans(value)
    tried([json.dumps(value).encode()])
    for read in (CODEC.decode_answer, lambda body: CODEC.decode_request(body, Losses(), model="m")):
        try:
            read(value)
        except (DecodeError, Unrepresentable):
            continue
