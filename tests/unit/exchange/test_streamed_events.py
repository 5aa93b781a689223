"""What else a stream holds: log probabilities, comments, line ends, events that cannot be read."""

import json

import pytest

from extproc.policy.api import Action
from tests.property.streams import DONE, Run, chunk, events, policy, regex, sse, texts
from tests.unit.exchange.streamed import MAIL, chat, same


def test_log_probabilities_of_redacted_text_are_dropped_and_others_stay():
    secret = {
        "logprobs": {
            "content": [{"token": "a@b.com", "logprob": -0.1, "bytes": None, "top_logprobs": []}],
            "refusal": None,
        }
    }
    other = {"logprobs": {"content": [{"token": "Hi ", "logprob": -0.5}]}}
    last = {"logprobs": {"content": [{"token": " x", "logprob": -0.5}]}}
    raw = sse(
        chunk({"content": "Hi "}, **other),
        chunk({"content": "a@b"}, **secret),
        chunk({"content": ".com"}, **secret),
        chunk({"content": " x"}, **last),
        DONE,
    )
    run = same([MAIL], raw)
    assert [event["choices"][0]["logprobs"] for event in events(run.out)[:-1]] == [
        other["logprobs"],
        None,
        None,
        last["logprobs"],
    ]
    assert b"a@b" not in run.out


@pytest.mark.parametrize("finish", ["stop", "length", "tool_calls", "content_filter"])
def test_finish_reason_and_usage_come_after_the_text_and_unchanged(finish):
    usage = {**chunk({}), "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}}
    raw = sse(chunk({"content": "write john"}), chunk({}, finish=finish), usage, DONE)
    run = same([MAIL], raw)
    assert run.out == raw
    assert (run.meter.usage.input, run.meter.usage.output) == (3, 5)


def test_comments_pass_at_once_and_the_text_behind_them_waits():
    run = Run([MAIL], [sse(chunk({"content": "john"})), b": ping\n\n", sse(chunk({"content": " x"})), DONE.encode()])
    assert run.parts[:2] == [b"", b": ping\n\n"]
    assert texts(run.out) == {(0, "content"): "john x"}


@pytest.mark.parametrize("line", ["event: mail a@b.com", ": a@b.com", "id: a@b.com", "note: a@b.com"])
def test_comments_names_and_ids_are_looked_at_too(line):
    run = same(
        [MAIL], f"{line}\n\n{line}\ndata: {json.dumps(chunk({'content': 'x'}))}\n\n".encode() + chat({"content": "y"})
    )
    assert b"a@b.com" not in run.out
    assert texts(run.out) == {(0, "content"): "y"}, "an event a rule touched outside its data is dropped"
    assert same([policy("s", regex("a@b"), action=Action.BLOCK)], f"{line}\n\n".encode()).blocked is not None


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_all_kinds(end):
    raw = (
        sse(chunk({"content": "to a@b"}), chunk({"content": ".com now"}), chunk({}, finish="stop"), end=end)
        + f"data: [DONE]{end}{end}".encode()
    )
    run = same([MAIL], raw)
    assert texts(run.out) == {(0, "content"): "to [mail] now"}
    assert run.out.count(end.encode()) == raw.count(end.encode())


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_json_over_several_data_lines_stays_one_event(end):
    lines = json.dumps(chunk({"content": "to a@b.com now"}), indent=1).splitlines()
    raw = end.join([*(f"data: {line}" for line in lines), "", ""]).encode()
    run = same([MAIL], raw)
    assert texts(run.out) == {(0, "content"): "to [mail] now"}
    assert len(events(run.out)) == 1


def test_a_byte_order_mark_hides_nothing():
    run = same([MAIL], b"\xef\xbb\xbf" + chat({"content": "to a@b.com now"}))
    assert b"a@b.com" not in run.out
    assert texts(run.out) == {(0, "content"): "to [mail] now"}


@pytest.mark.parametrize("tail", ["", "\n", "\n\n", "\r\n"])
def test_a_stream_may_end_without_its_last_line_or_done(tail):
    raw = sse(chunk({"content": "hello "})) + f"data: {json.dumps(chunk({'content': 'a@b.com'}))}{tail}".encode()
    assert texts(same([MAIL], raw).out) == {(0, "content"): "hello [mail]"}
    done = sse(chunk({"content": "a@b.com"})) + f"data: [DONE]{tail}".encode()
    assert same([MAIL], done).out.endswith(f"data: [DONE]{tail}".encode())


def test_what_comes_after_done_is_dropped():
    raw = chat({"content": "hello"})
    late = sse(chunk({"content": "a@b.com"}), ": late a@b.com\n\n", "data: not json\n\n", DONE)
    run = same([MAIL], raw + late)
    assert run.out == raw
    assert run.refused is None


def test_an_event_that_is_not_json_ends_the_stream_with_an_error():
    raw = sse(chunk({"content": "hello "}), "data: {oops a@b.com\n\n", chunk({"content": "after"}))
    run = same([MAIL], raw)
    assert run.refused.code == "upstream_malformed"
    assert texts(run.out) == {(0, "content"): "hello "}
    assert events(run.out)[-2]["error"]["code"] == "upstream_malformed"
    assert events(run.out)[-1] == "[DONE]"
    assert b"oops" not in run.out


@pytest.mark.parametrize(
    "event", ['{"a":1,"a":2}', "[" * 200 + "]" * 200, "NaN", '{"choices":[{"index":0,"delta":{"content":"\\ud800"}}]}']
)
def test_an_event_that_can_be_read_in_two_ways_ends_the_stream(event):
    assert (
        same([MAIL], sse(f"data: {event}\n\n"), lambda raw: [[raw], [raw[:30], raw[30:]]]).refused.code
        == "upstream_malformed"
    )


def test_bytes_that_are_no_text_end_the_stream():
    run = same([MAIL], sse(chunk({"content": "a "})) + b"data: \xff\n\n")
    assert run.refused.code == "upstream_malformed"
    assert same([MAIL], b"event: \xff\n\n").refused.code == "upstream_malformed"


def test_an_error_event_passes_and_its_text_is_looked_at():
    error = {"error": {"message": "no user a@b.com", "type": "server_error", "param": None, "code": "overloaded"}}
    run = same([MAIL], sse(chunk({"content": "partial john"}), error, DONE))
    assert events(run.out)[-2] == {"error": {**error["error"], "message": "no user [mail]"}}
    assert texts(run.out) == {(0, "content"): "partial john"}


def test_unknown_events_and_fields_are_looked_at_and_keep_their_place():
    raw = sse(
        chunk({"content": "one john"}),
        {"type": "new", "payload": ["a@b.com"]},
        chunk({"content": "@x.com"}),
        {"n": 1},
        DONE,
    )
    found = events(same([MAIL], raw).out)
    assert [next(iter(each)) for each in found[:-1]] == ["id", "type", "id", "n"]
    assert found[1]["payload"] == ["[mail]"]
    assert texts(Run([MAIL], [raw]).out) == {(0, "content"): "one [mail]"}


@pytest.mark.parametrize(
    "event",
    [
        "1", '"text"', "null", "[]", "{}", '{"choices":null}', '{"choices":[]}', '{"choices":["a@b.com"]}',
        '{"choices":[null]}',
        '{"choices":[{}]}', '{"choices":[{"delta":null}]}', '{"choices":[{"delta":"a@b.com"}]}',
        '{"choices":[{"delta":[1]}]}',
        '{"choices":{"a":"a@b.com"}}',
        '{"choices":[{"index":null,"delta":{"content":"a@b.com"}}]}',
        '{"choices":[{"delta":{"tool_calls":[null,"a@b.com",[["a@b.com"]]]}}]}',
        '{"choices":[{"delta":{"tool_calls":{"index":1}}}]}',
        '{"choices":[{"delta":{"content":[{"type":"text","text":"a@b.com"}]}}]}',
        '{"choices":[{"delta":{"content":{"a":"a@b.com"}}}]}',
        '{"usage":1,"choices":7}', '{"usage":{"prompt_tokens":"x"}}', '{"error":"a@b.com"}',
    ],
)  # fmt: skip
def test_any_json_is_guarded_and_none_breaks_the_guard(event):
    run = same([MAIL], sse(f"data: {event}\n\n", DONE))
    assert run.refused is None
    assert b"a@b.com" not in run.out
    if "@" not in event:
        assert run.out == sse(f"data: {event}\n\n", DONE)


@pytest.mark.parametrize("index", ['"0"', "1.5", "0.0", "-1", "true", "{}", "[]"])
@pytest.mark.parametrize(
    "event",
    [
        '{"choices":[{"index":%s,"delta":{"content":"a"}}]}',
        '{"choices":[{"delta":{"tool_calls":[{"index":%s,"function":{"arguments":"a"}}]}}]}',
    ],
)
def test_an_index_that_clients_could_read_in_two_ways_ends_the_stream(event, index):
    assert same([MAIL], sse(f"data: {event % index}\n\n", DONE)).refused.code == "upstream_malformed"
