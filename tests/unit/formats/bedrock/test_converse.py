"""Converse, the guard's side: scopes, tracks, order, usage, errors, what the gateway says itself."""

import itertools
import json
from base64 import b64encode
from dataclasses import replace

import botocore.parsers
import botocore.session
import pytest
from botocore.eventstream import EventStreamBuffer
from botocore.exceptions import EventStreamError
from hypothesis import given
from hypothesis import strategies as st

from extproc.chat.answer import Usage
from extproc.errors import DecodeError
from extproc.exchange.repeats import Repeats
from extproc.exchange.streamed import GuardedStream
from extproc.exchange.whole import inspect
from extproc.formats.bedrock import Converse, CountTokens
from extproc.framing.aws import NAMED, framed
from extproc.policy.api import Action, Phase, Scope, Style, Tally
from extproc.policy.chain import Chain
from extproc.usage import Meter
from tests.property.streams import policy, regex, words

FORMAT = Converse()
SERVICE = botocore.session.get_session().get_service_model("bedrock-runtime")
MAIL = policy("mail", regex(r"\b[a-z]{1,20}@[a-z]{1,20}\.com\b", "[mail]"))


def event(name, value):
    return framed(name, json.dumps(value).encode())


def start(index, id_="t1", name="look"):
    return event(
        "contentBlockStart", {"contentBlockIndex": index, "start": {"toolUse": {"toolUseId": id_, "name": name}}}
    )


def delta(index, **said):
    return event("contentBlockDelta", {"contentBlockIndex": index, "delta": said})


def text(index, *said):
    return b"".join([delta(index, text=each) for each in said]) + stop(index)


def thoughts(index, *said):
    return b"".join([delta(index, reasoningContent={"text": each}) for each in said]) + stop(index)


def call(index, *said):
    return start(index) + b"".join([delta(index, toolUse={"input": each}) for each in said]) + stop(index)


def stop(index):
    return event("contentBlockStop", {"contentBlockIndex": index})


HEAD = event("messageStart", {"role": "assistant", "p": "abcdefgh"})
END = event("messageStop", {"stopReason": "end_turn"})
TAIL = END + event(
    "metadata", {"usage": {"inputTokens": 5, "outputTokens": 7, "totalTokens": 12}, "metrics": {"latencyMs": 1}}
)


def stream(*blocks):
    return HEAD + b"".join(blocks) + TAIL


class Run:
    def __init__(self, policies, *pieces, format_=FORMAT):
        self.meter = Meter(format_)
        guarded = GuardedStream(format_, Chain(policies), Tally(), self.meter, 1 << 20, 4 << 20)
        self.parts = [*(guarded.feed(piece) for piece in pieces), guarded.close()]
        self.out = b"".join(self.parts)
        self.refused = guarded.refused
        self.telling = guarded.telling


def sdk(raw):
    """What botocore's parser makes of a stream: [(name, value)]; raises what it raises."""
    shape = SERVICE.operation_model("ConverseStream").get_event_stream_output()
    parser = botocore.parsers.EventStreamJSONParser()
    buffer = EventStreamBuffer()
    buffer.add_data(raw)
    found = []
    for each in buffer:
        response = each.to_response_dict()
        if response["status_code"] != 200:
            error = parser.parse(response, shape)
            raise EventStreamError({"Error": error["Error"]}, "ConverseStream")
        found += parser.parse(response, shape).items()
    return found


def blocks(raw):
    """The message's blocks as a client puts them together; also checks their order."""
    found, open_ = {}, set()
    names = [name for name, _ in sdk(raw)]
    assert names.count("messageStart") == 1
    assert names.count("messageStop") <= 1
    for name, value in sdk(raw):
        index = value.get("contentBlockIndex")
        if name == "contentBlockStart":
            assert index not in found
            found[index] = dict(value["start"]["toolUse"], input="")
            open_.add(index)
        elif name == "contentBlockDelta":
            open_.add(index)
            said = value["delta"]
            if "toolUse" in said:
                found[index]["input"] += said["toolUse"]["input"]
            elif "text" in said:
                found[index] = found.get(index, "") + said["text"]
            else:
                found.setdefault(index, []).append(said["reasoningContent"])
        elif name == "contentBlockStop":
            open_.remove(index)
        elif name == "messageStop":
            assert not open_
    return list(found.values())


# requests

REQUEST = {
    "messages": [
        {"role": "user", "content": [
            {"text": "1"}, {"image": {"format": "png", "source": {"bytes": "aGk="}}}, {"cachePoint": {"type": "default"}},
            {"document": {"format": "txt", "name": "2", "source": {"text": "3"}, "context": "4"}},
            {"guardContent": {"text": {"text": "5", "qualifiers": ["query"]}}},
            {"searchResult": {"source": "6", "title": "7", "content": [{"text": "8"}]}},
        ]},
        {"role": "assistant", "content": [
            {"text": "9"},
            {"reasoningContent": {"reasoningText": {"text": "10", "signature": "QUJD" * 20}}},
            {"toolUse": {"toolUseId": "t", "name": "11", "input": {"role": "12", "id": "13", "bytes": "14"}}},
            {"citationsContent": {"content": [{"text": "15"}], "citations": [{"title": "16"}]}},
        ]},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "t", "status": "error", "content": [
            {"json": {"status": "17"}}, {"text": "18"}, {"document": {"name": "19", "source": {"text": "20"}}}]}}]},
        {"role": "system", "content": [{"text": "21"}]},
        {"role": "strange", "content": "22"},
        "23",
    ],
    "system": [{"text": "24"}],
    "toolConfig": {"tools": [{"toolSpec": {"name": "25", "description": "26", "inputSchema": {"json": {"type": "27"}}}}],
                   "toolChoice": {"tool": {"name": "28"}}},
    "inferenceConfig": {"stopSequences": ["29"]},
    "additionalModelRequestFields": {"type": "30"},
    "promptVariables": {"p": {"text": "31"}},
    "requestMetadata": {"role": "32"},
    "outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": '{"33":1}', "name": "34"}}}},
    "new": "35",
}  # fmt: skip


def test_whose_words_a_requests_texts_are():
    s, u, a, r, i, o = Scope.SYSTEM, Scope.USER, Scope.ASSISTANT, Scope.REASONING, Scope.TOOL_INPUT, Scope.TOOL_OUTPUT
    groups = [
        (u, "1 2 3 4 5 6 7 8 22 23 29 30 31 32 35"), (a, "9 15 16"), (r, "10"), (i, "11 12 13 14"), (o, "17 18 19 20"),
        (s, "21 24 25 26 27 28 34"),
    ]  # fmt: skip
    wanted = {each: scope for scope, names in groups for each in names.split()} | {'{"33":1}': s, "aGk=": u}
    found = FORMAT.request_spans(REQUEST)
    assert {span.text: span.scope for span in found} == wanted
    assert [span.text for span in found if span.json] == ['{"33":1}']


def test_what_no_rule_can_read_is_named():
    assert FORMAT.unscanned(REQUEST) == ["file", "image"]
    inner = {"toolResult": {"content": [{"video": {}}, {"image": {}}]}}
    assert FORMAT.unscanned({"messages": [{"content": [inner, {"guardContent": {"image": {}}}]}]}) == ["image", "video"]
    assert FORMAT.unscanned({"messages": [{"content": [{"toolUse": {"input": {"image": 1}}}]}], "system": 7}) == []


def test_model_and_stream_are_the_paths():
    assert FORMAT.model({"model": "m", "modelId": "m"}) is None
    assert FORMAT.streamed({"stream": True}) is False


NAMES = st.sampled_from(
    ["output", "message", "messages", "content", "text", "toolUse", "toolResult", "input", "json", "reasoningContent",
     "toolConfig", "tools", "toolSpec", "inputSchema", "outputConfig", "new", "usage", "contentBlockDelta", "delta"]
)  # fmt: skip
ANY = st.recursive(
    st.sampled_from(["a b", None, True, 0, 7]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


def leaves(value, path=()):
    if isinstance(value, str):
        yield path
    for key, child in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from leaves(child, (*path, key))


@given(st.dictionaries(NAMES, ANY, max_size=4), ANY)
def test_no_string_escapes_wherever_it_stands(body, value):
    strings = set(leaves(body))
    assert {span.path for span in FORMAT.request_spans(body)} == strings
    assert {span.path for span in FORMAT.response_spans(body)} == strings
    assert {span.path for span in FORMAT.response_spans(value)} == set(leaves(value))
    assert {span.path for span in CountTokens().request_spans(body)} == strings
    for name, inner in (
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": value}),
        ("messageStop", value),
        ("x", value),
    ):
        said = {name: inner}
        assert {piece.path for piece in FORMAT.delta(said).pieces} == set(leaves(said))


# streams


def test_an_event_has_one_type_and_a_number_that_is_one():
    for value in ([], None, {}, {"a": {}, "b": {}}, {"contentBlockDelta": {"delta": {}}},
                  {"contentBlockStop": {"contentBlockIndex": "0"}}, {"contentBlockStop": {"contentBlockIndex": True}},
                  {"contentBlockDelta": {"contentBlockIndex": -1}}, {"contentBlockStop": 7}):  # fmt: skip
        with pytest.raises(DecodeError):
            FORMAT.delta(value)


def test_a_text_goes_on_in_the_next_block_of_text():
    raw = stream(text(0, "to jane@exa"), text(1, "mple.com", " or not"))
    assert blocks(Run([MAIL], raw).out) == ["to [mail]", " or not"]


def test_a_block_of_another_kind_ends_a_text():
    for other in (call(1, "{}"), thoughts(1, "hm")):
        raw = stream(text(0, "to jane@exa"), other, text(2, "mple.com"))
        assert Run([MAIL], raw).out == raw


def test_thoughts_end_where_the_answer_begins_and_do_not_hold_it_back():
    head = HEAD + thoughts(0, "a thought of jane")
    run = Run([MAIL], head, text(1, "An answer.") + TAIL)
    assert b"jane" not in run.parts[0]
    assert b"An answer" in run.parts[1]
    assert run.out == head + text(1, "An answer.") + TAIL
    assert blocks(Run([MAIL], stream(thoughts(0, "jane@", "x.com"))).out) == [[{"text": "[mail]"}, {"text": ""}]]


def test_arguments_of_a_call_are_one_json_text_each():
    raw = stream(call(0, '{"a":"jane@ex', 'ample.com"}'), call(1, '{"b":"jane@ex', 'ample.com"}'))
    assert [json.loads(each["input"]) for each in blocks(Run([MAIL], raw).out)] == [{"a": "[mail]"}, {"b": "[mail]"}]


def test_what_a_text_cites_does_not_end_it():
    cited = delta(0, citation={"title": "about jane@example.com", "location": {"web": {"url": "a"}}})
    run = Run([MAIL], stream(delta(0, text="to jane@exa"), cited, text(0, "mple.com")))
    assert b"jane" not in run.out
    assert blocks(stream(text(0, "to jane@exa"))) == ["to jane@exa"]


def test_results_of_tools_that_bedrock_ran():
    result = event(
        "contentBlockStart", {"contentBlockIndex": 0, "start": {"toolResult": {"toolUseId": "a", "type": "x"}}}
    )
    said = delta(0, toolResult=[{"json": {"id": "jane@example.com", "p": "bob@example.com"}}]) + delta(
        0, toolResult=[{"text": "al@"}]
    )
    out = Run([MAIL], stream(result, said, delta(0, toolResult=[{"text": "b.com"}]), stop(0))).out
    assert b"@" not in out
    scopes = {
        piece.scope
        for piece in FORMAT.delta(
            {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"toolResult": [{"text": "a"}]}}}
        ).pieces
    }
    assert scopes == {Scope.TOOL_OUTPUT}


@pytest.mark.parametrize(
    ("value", "telling", "final"),
    [
        ({"messageStart": {"role": "assistant", "p": "abc"}}, False, False),
        ({"contentBlockStart": {"contentBlockIndex": 0, "start": {"toolUse": {"name": "f"}}}}, True, False),
        ({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": ""}}}, False, False),
        ({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "a"}}}, True, False),
        ({"contentBlockStop": {"contentBlockIndex": 0}}, True, False),
        ({"messageStop": {"stopReason": "end_turn"}}, True, True),
        ({"metadata": {"usage": {}}}, True, False),
        ({"throttlingException": {"message": "slow"}}, True, False),
    ],
)
def test_the_order_of_events_is_kept(value, telling, final):
    found = FORMAT.delta(value)
    assert (found.telling, found.final, found.lane) == (telling, final, "answer")


def test_repeated_events_are_understood_without_being_parsed_whatever_their_padding():
    repeats = Repeats(FORMAT)
    said = [("contentBlockDelta", {"text": "one"}), ("contentBlockDelta", {"text": "two"}),
            ("contentBlockDelta", {"reasoningContent": {"text": "no"}}), ("messageStop", {"text": "x"})]  # fmt: skip
    values = [
        (name, {"contentBlockIndex": 0, "delta": each, "p": "abcdefghijklm"[: 3 * number + 1]})
        for number, (name, each) in enumerate(said)
    ]
    raw = b"".join([framed(name, json.dumps(value, separators=(",", ":")).encode()) for name, value in values])
    first, second, other, last = NAMED.reader(1 << 20).feed(raw)
    value = json.loads(first.data)
    repeats.learn(first.data, value, FORMAT.delta(value))
    known = repeats.find(second.data)
    assert known == FORMAT.delta(json.loads(second.data))
    assert known.pieces[0].text == "two"
    assert repeats.find(other.data) is None
    assert repeats.find(last.data) is None  # another type of event that looks the same


def test_usage_is_what_bedrock_counted():
    usage = {
        "inputTokens": 2,
        "outputTokens": 5,
        "totalTokens": 1329,
        "cacheReadInputTokens": 22,
        "cacheWriteInputTokens": 1300,
    }
    assert FORMAT.usage({"usage": usage}) == FORMAT.usage({"metadata": {"usage": usage}}) == Usage(1324, 5, 22, 0, 1300)
    assert FORMAT.usage({"usage": {"inputTokens": "2", "outputTokens": -1, "cacheReadInputTokens": True}}) == Usage()
    assert (
        FORMAT.usage({"usage": 1})
        is FORMAT.usage([])
        is FORMAT.usage({"metadata": 7})
        is FORMAT.usage({"inputTokens": 3})
        is None
    )
    assert Run([MAIL], stream(text(0, "a"))).meter.usage == Usage(5, 7)


# what the gateway says


def answered(raw, status=200, headers=()):
    parser = botocore.parsers.create_parser("rest-json")
    shape = SERVICE.operation_model("Converse").output_shape
    return parser.parse({"status_code": status, "headers": dict(headers), "body": raw}, shape)


@pytest.mark.parametrize(
    ("status", "name"),
    [(400, "ValidationException"), (401, "AccessDeniedException"), (403, "AccessDeniedException"),
     (404, "ResourceNotFoundException"), (413, "ValidationException"), (422, "ValidationException"),
     (429, "ThrottlingException"), (451, "ValidationException"), (500, "InternalServerException"),
     (502, "ServiceUnavailableException"), (503, "ServiceUnavailableException"), (504, "ServiceUnavailableException")],
)  # fmt: skip
def test_an_error_is_one_to_the_sdk(status, name):
    raw = FORMAT.error(status, "blocked", 'say "no"', "policy_violation")
    error = answered(raw, status, FORMAT.error_headers(status))["Error"]
    assert (error["Code"], error["Message"]) == (name, 'say "no"')
    assert json.loads(raw) == {"message": 'say "no"'}


@pytest.mark.parametrize(
    ("kind", "name"),
    [("policy_violation", "validationException"), ("api_error", "internalServerException"),
     ("upstream_error", "modelStreamErrorException"), ("rate_limit_error", "throttlingException")],
)  # fmt: skip
def test_an_error_in_a_stream_raises_in_the_sdk(kind, name):
    with pytest.raises(EventStreamError) as caught:
        sdk(HEAD + FORMAT.error_event("blocked", "no\nmore", kind))
    assert caught.value.response["Error"] == {"Code": name, "Message": "no\nmore"}


@pytest.mark.parametrize(("refuses", "reason"), [(False, "end_turn"), (True, "guardrail_intervened")])
def test_a_reply_is_a_whole_answer_to_the_sdk(refuses, reason):
    found = answered(FORMAT.reply('no "jokes"', "m", "r1", 17, refuses=refuses))
    assert found["output"] == {"message": {"role": "assistant", "content": [{"text": 'no "jokes"'}]}}
    assert (found["stopReason"], found["usage"]["totalTokens"], found["metrics"]["latencyMs"]) == (reason, 0, 0)
    raw = FORMAT.reply_stream('no "jokes"', "m", "r1", 17, refuses=refuses)
    assert blocks(raw) == ['no "jokes"']
    assert dict(sdk(raw))["messageStop"] == {"stopReason": reason}
    assert dict(sdk(raw))["metadata"]["usage"]["totalTokens"] == 0
    assert blocks(FORMAT.reply_stream("", "m", "r1", 17)) == []
    assert answered(FORMAT.reply("", "m", "r1", 17))["output"]["message"]["content"] == []


def test_the_list_of_models():
    control = botocore.session.get_session().get_service_model("bedrock")
    parser = botocore.parsers.create_parser("rest-json")
    shape = control.operation_model("ListFoundationModels").output_shape
    found = parser.parse({"status_code": 200, "headers": {}, "body": FORMAT.models(["a", "b"])}, shape)
    assert [each["modelId"] for each in found["modelSummaries"]] == ["a", "b"]
    shape = control.operation_model("GetFoundationModel").output_shape
    found = parser.parse({"status_code": 200, "headers": {}, "body": FORMAT.model_card("a")}, shape)
    assert found["modelDetails"]["modelId"] == "a"


BODIES = [
    text(0, "one", " two"), thoughts(0, "hm", "so") + text(1, "one"), call(0, '{"a":', "1}") + text(1, "x") + call(2, "{}"),
    b"",
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("said", ["", "It was stopped."])
def test_a_stream_can_be_ended_anywhere(body, said):
    events = list(NAMED.reader(1 << 20).feed(stream(body)))
    for count in range(len(events) + 1):
        ending = FORMAT.ending()
        for each in events[:count]:
            ending.see(json.loads(each.data))
        before = b"".join(each.raw for each in events[:count])
        raw = before + ending.end(said)
        names = [name for name, _ in sdk(raw)]
        assert names.count("messageStop") == 1
        stopped = b"messageStop" in before
        if stopped:
            assert raw == before
            continue
        assert names[-1] == "messageStop"
        assert sdk(raw)[-1][1] == {"stopReason": "guardrail_intervened"}
        found = blocks(raw)
        assert not said or found[-1] == said


def test_an_ending_ignores_what_is_no_event():
    ending = FORMAT.ending()
    for value in (
        None,
        [],
        {},
        {"a": 1, "b": 2},
        {"contentBlockDelta": 7},
        {"contentBlockDelta": {"contentBlockIndex": "x"}},
    ):
        ending.see(value)
    assert [name for name, _ in sdk(ending.end(""))] == ["messageStart", "messageStop"]


def test_a_block_ends_a_stream_as_its_policy_says():
    raw = stream(text(0, "a word and", " zyzzyva"))
    with pytest.raises(EventStreamError):
        sdk(Run([policy("p", words("zyzzyva"), action=Action.BLOCK)], raw).out)


# whole answers


def whole(content, *policies):
    body = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "end_turn"}
    raw = json.dumps(body).encode()
    decision, out = inspect(FORMAT, Chain(policies), Phase.RESPONSE, raw, body, Tally())
    return decision, json.loads(out)


def test_texts_of_an_answer_are_redacted_in_place():
    content = [
        {"text": "to jane@example.com"},
        {"toolUse": {"toolUseId": "t", "name": "f", "input": {"p": ["jane@example.com"]}}},
        {"reasoningContent": {"reasoningText": {"text": "jane@example.com", "signature": "s"}}},
    ]
    _, found = whole(content, MAIL)
    assert json.dumps(found).count("[mail]") == 3
    assert "jane" not in json.dumps(found)


@pytest.mark.parametrize(
    ("block", "left"),
    [
        ({"text": "before zyzzyva after"}, {"text": "before "}),
        ({"text": "before zyzzyva after", "odd": "x"}, {"text": "before "}),
        ({"reasoningContent": {"reasoningText": {"text": "before zyzzyva", "signature": "s"}}},
         {"reasoningContent": {"reasoningText": {"text": "before "}}}),
        ({"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": "before zyzzyva"}}}, {"text": ""}),
        ({"citationsContent": {"content": [{"text": "before zyzzyva"}]}}, {"text": "before "}),
    ],
)  # fmt: skip
def test_an_answer_that_is_cut_ends_in_its_text(block, left):
    body = {
        "output": {"message": {"content": [{"text": "one"}, block, {"text": "zyzzyva"}, {"toolUse": {"name": "f"}}]}}
    }
    (span,) = [each for each in FORMAT.response_spans(body) if "before" in each.text]
    edits = FORMAT.cut(body, span.path, "before ")
    assert {path: json.loads(value) for path, value in edits.items()} == {
        ("output", "message", "content", 1): left,
        ("output", "message", "content", 2): {"text": ""},
        ("output", "message", "content", 3): {"text": ""},
        ("stopReason",): "guardrail_intervened",
    }
    assert FORMAT.cut(body, ("message",), "a") == {("message",): b'"a"'}


def test_of_two_cuts_the_first_one_stands():
    stops = [
        replace(policy(name, words(word), action=Action.BLOCK), style=Style.TRUNCATE)
        for name, word in (("p", "zyzzyva"), ("q", "quux"))
    ]
    for order in itertools.permutations(stops):
        _, found = whole([{"text": "a"}, {"text": "b quux c"}, {"text": "d zyzzyva e"}, {"text": "f"}], *order)
        assert [each["text"] for each in found["output"]["message"]["content"]] == ["a", "b ", "", ""]
        assert found["stopReason"] == "guardrail_intervened"


# counting


def test_a_count_is_asked_for_the_same_texts():
    count = CountTokens()
    spans = count.request_spans({"input": {"converse": REQUEST}})
    assert [span.text for span in spans] == [span.text for span in FORMAT.request_spans(REQUEST)]
    assert all(span.path[:2] == ("input", "converse") for span in spans)
    assert count.unscanned({"input": {"converse": REQUEST}}) == ["file", "image"]
    assert count.unscanned({"input": 7}) == []
    assert json.loads(count.reply("x", "m", "r", 1)) == {"inputTokens": 0}
    assert count.codec is None


def test_a_body_that_is_counted_is_judged_but_never_changed():
    inner = {"messages": [{"role": "user", "content": "to jane@example.com"}]}
    body = {"input": {"invokeModel": {"body": b64encode(json.dumps(inner).encode()).decode(), "x": "y z"}}}
    found = [(span.text, span.fixed) for span in CountTokens().request_spans(body)]
    assert found == [("y z", False), ("user", True), ("to jane@example.com", True)]
    raw = json.dumps(body).encode()
    decision, out = inspect(CountTokens(), Chain([MAIL]), Phase.REQUEST, raw, body, Tally())
    assert (decision.outcome.name, out) == ("BLOCK", raw)
    for odd in ("to jane@example.com", b64encode(b"no json").decode(), "e"):
        texts = [span.text for span in CountTokens().request_spans({"input": {"invokeModel": {"body": odd}}})]
        assert texts == [odd]
