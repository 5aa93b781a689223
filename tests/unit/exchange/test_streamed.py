"""Guarded streams: synthetic ones, each with every cut. Recorded ones are in tests/property."""

import json
import random
import re

import pytest

from extproc.policy.api import Action, Mode, Scope
from tests.property import oracle
from tests.property.streams import DONE, Run, chunk, events, policy, regex, sse, texts, words

MAIL = policy("mail", regex(r"\b[a-z.]{1,20}@[a-z]{1,20}\.com\b", "[mail]"))
STOP = policy("stop", words("forbidden"), action=Action.BLOCK)


def chat(*deltas, finish="stop", **more):
    return sse(*[chunk(delta, **more) for delta in deltas], chunk({}, finish=finish), DONE)


def every_cut(raw):
    yield [raw]
    yield [raw[at : at + 1] for at in range(len(raw))]
    for at in range(1, len(raw)):
        yield [raw[:at], raw[at:]]


def same(policies, raw, cuts=every_cut):
    """The stream's run; its output is the same for every cut."""
    runs = [Run(policies, pieces) for pieces in cuts(raw)]
    assert {run.out for run in runs} == {runs[0].out}
    assert {run.blocked for run in runs} == {runs[0].blocked}
    assert {run.refused.code if run.refused else None for run in runs} == {
        runs[0].refused.code if runs[0].refused else None
    }
    return runs[0]


TEXT = "Write to jo.doe@example.com or ann@x.com. Bye"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 100])
def test_a_text_is_redacted_however_many_deltas_it_comes_in(size):
    pieces = [TEXT[at : at + size] for at in range(0, len(TEXT), size)]
    raw = chat({"role": "assistant", "content": ""}, *[{"content": piece} for piece in pieces])
    run = Run([MAIL], [raw])
    assert texts(run.out) == {(0, "content"): "Write to [mail] or [mail]. Bye"}
    assert len(events(run.out)) == len(events(raw)), "no event is lost or added"
    assert run.tally.rows() == [{"policy": "mail", "label": "r", "outcome": "redact", "count": 2}]


def test_two_deltas_that_meet_anywhere_give_the_same_text():
    for at in range(len(TEXT) + 1):
        raw = chat({"content": TEXT[:at]}, {"content": TEXT[at:]})
        assert texts(Run([MAIL], [raw]).out) == {(0, "content"): "Write to [mail] or [mail]. Bye"}


def test_a_cut_anywhere_does_not_show():
    run = same([MAIL], chat({"content": "Write to jo"}, {"content": "hn@exa"}, {"content": "mple.com! Bye"}))
    assert texts(run.out) == {(0, "content"): "Write to [mail]! Bye"}


def test_what_is_not_touched_keeps_its_bytes_also_in_the_event_that_is():
    event = (
        '{"x":1.50,  "choices":[ {"index":0,"delta":{"content":"a@b.com"} ,"u":"\\u00e9"}],"big":12345678901234567890}'
    )
    out = Run([MAIL], [f"data:{event}\n\n{DONE}".encode()]).out
    assert out == f"data: {event.replace('a@b.com', '[mail]')}\n\n{DONE}".encode()


def test_interleaved_choices_are_texts_of_their_own():
    raw = sse(
        chunk({"content": "a"}, 0), chunk({"content": "x@b."}, 1), chunk({"content": "@b."}, 0),
        chunk({"content": "org com"}, 1),
        chunk({"content": "com"}, 0), chunk({}, 1, "stop"), chunk({}, 0, "stop"), DONE,
    )  # fmt: skip
    run = same([MAIL], raw)
    assert texts(run.out) == {(0, "content"): "[mail]", (1, "content"): "x@b.org com"}


def test_choices_in_one_event_are_told_apart():
    both = [
        chunk({"content": left}, 0)["choices"] + chunk({"content": right}, 1)["choices"]
        for left, right in [("a@b", "b"), (".com", ".com")]
    ]
    raw = sse(*[{**chunk({}), "choices": each} for each in both], DONE)
    assert texts(same([MAIL], raw).out) == {(0, "content"): "[mail]", (1, "content"): "b.com"}


def test_reasoning_and_content_are_texts_of_their_own():
    raw = chat(
        {"role": "assistant", "reasoning_content": "think a@"},
        {"reasoning_content": "b"},
        {"content": ".com "},
        {"content": "a@b.com"},
    )
    run = same([MAIL], raw)
    assert texts(run.out) == {(0, "reasoning_content"): "think a@b", (0, "content"): ".com [mail]"}


def test_the_held_end_of_reasoning_does_not_stop_the_answer():
    run = Run(
        [MAIL],
        [
            sse(chunk({"reasoning": "mail bob"})),
            sse(chunk({"content": " Hi! "})),
            sse(chunk({}, finish="stop")),
            DONE.encode(),
        ],
    )
    assert run.parts[0] == b""
    assert texts(run.parts[1]) == {(0, "content"): " Hi! "}
    assert texts(run.out) == {(0, "reasoning"): "mail bob", (0, "content"): " Hi! "}
    assert [bool(each["choices"][0]["finish_reason"]) for each in events(run.out)[:-1]] == [False, False, True], (
        "the end comes last"
    )


def test_texts_keep_their_order_where_an_event_has_reasoning_and_content():
    run = same([MAIL], chat({"reasoning": "A", "content": "joh"}, {"reasoning": "B! "}, {"content": "n@x.com"}))
    assert texts(run.out) == {(0, "reasoning"): "AB! ", (0, "content"): "[mail]"}


def test_scopes_decide_which_fields_are_looked_at():
    only = policy("mail", regex(r"[a-z]{1,9}@b\.com", "*"), scopes=frozenset({Scope.REASONING}))
    raw = chat(
        {"reasoning": "a@b.com"},
        {"content": "a@b.com"},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"a@b.com"'}}]},
    )
    assert sorted(texts(same([only], raw).out).values()) == ['"a@b.com"', "*", "a@b.com"]


# tool calls


def call(arguments, index=0, **function):
    return {"tool_calls": [{"index": index, "function": {"arguments": arguments, **function}}]}


ARGUMENTS = [
    ('{"to":"a@b.com"}', '{"to":"[mail]"}'),
    ('{"body":"Hi\\njohn@x.com"}', '{"body":"Hi\\n[mail]"}'),
    ('{"body":"Hi\\tjohn\\u0040x.com\\n"}', '{"body":"Hi\\t[mail]\\n"}'),
    ('{"body":"\\u006aohn@x\\u002ecom"}', '{"body":"[mail]"}'),
    ('{"q":"\\"john@x.com\\""}', '{"q":"\\"[mail]\\""}'),
    ('{"path":"C:\\\\new\\\\a@b.com"}', '{"path":"C:\\\\new\\\\[mail]"}'),
    ('{"e":"\\ud83d\\ude00a@b.com\\ud83d\\ude00"}', '{"e":"\\ud83d\\ude00[mail]\\ud83d\\ude00"}'),
    ('{"a":["x@b.com","y@b.com"],"n":12}', '{"a":["[mail]","[mail]"],"n":12}'),
]


@pytest.mark.parametrize(("source", "wanted"), ARGUMENTS)
def test_arguments_cut_anywhere_stay_json(source, wanted):
    for at in range(len(source) + 1):
        raw = chat(call(source[:at], name="send"), call(source[at:]), finish="tool_calls")
        found = texts(Run([MAIL], [raw]).out)[0, "tool_calls", 0, "function", "arguments"]
        assert found == wanted
    bytewise = chat(*[call(char) for char in source])
    assert texts(Run([MAIL], [bytewise]).out)[0, "tool_calls", 0, "function", "arguments"] == wanted
    json.loads(wanted)


def test_a_replacement_is_escaped_where_it_lands():
    awkward = policy("p", regex(r"a@b\.com", 'say "no"\n\\'))
    raw = chat(*[call(char) for char in '{"to":"a@b.com"}'])
    found = texts(Run([awkward], [raw]).out)[0, "tool_calls", 0, "function", "arguments"]
    assert json.loads(found) == {"to": 'say "no"\n\\'}


def test_a_redacted_number_stays_a_number():
    digits = policy("p", regex(r"\d{16}", "[card]"))
    raw = chat(*[call(char) for char in '{"card": 4111111111111111, "n": 1}'])
    found = texts(Run([digits], [raw]).out)[0, "tool_calls", 0, "function", "arguments"]
    assert json.loads(found) == {"card": 0, "n": 1}


def test_parallel_calls_are_texts_of_their_own():
    raw = chat(call('"a@b', 0), call('".com"', 1), call('.com"', 0))
    found = texts(same([MAIL], raw).out)
    assert found == {
        (0, "tool_calls", 0, "function", "arguments"): '"[mail]"',
        (0, "tool_calls", 1, "function", "arguments"): '".com"',
    }


def test_a_name_leaves_at_once_and_a_match_in_it_is_redacted():
    run = Run(
        [policy("p", words("secret"))], [sse(chunk(call("", name="secret"))), sse(chunk(call("{}"))), DONE.encode()]
    )
    assert b"secret" not in run.out
    assert texts(run.parts[0])[0, "tool_calls", 0, "function", "name"].strip('"') == "[w]"
    assert run.refused is None


def test_a_name_that_becomes_a_match_when_joined_ends_the_stream():
    run = same(
        [policy("p", regex("secret"))],
        chat({"content": "x"}, call("", name="sec"), call("", name="ret"), {"content": "after"}),
    )
    assert run.refused is not None
    assert texts(run.out)[0, "tool_calls", 0, "function", "name"] == "sec"
    assert b"after" not in run.out


# what else a stream holds


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


# blocking


def test_a_block_in_the_first_delta_says_nothing_so_that_a_status_still_can():
    for text in ("forbidden", "forbidden fruit"):
        run = same([STOP], chat({"role": "assistant", "content": ""}, {"content": text}, {"content": "!"}))
        assert (run.refused.status, run.refused.code, run.blocked.name) == (400, "stop", "stop")
        assert not run.stream.telling
        assert texts(run.out) in ({}, {(0, "content"): ""})
        assert b"error" not in run.out


@pytest.mark.parametrize("at", range(len("It is forbidden to")))
def test_a_block_in_the_middle_releases_exactly_the_text_before_it(at):
    text = "It is forbidden to"
    run = Run([STOP], [chat({"content": text[:at]}, {"content": text[at:]}, {"content": " more"})])
    assert texts(run.out) == {(0, "content"): "It is "}
    assert events(run.out)[-2]["error"]["type"] == "policy_violation"
    assert events(run.out)[-1] == "[DONE]"
    assert b'"finish_reason": "stop"' not in run.out


def test_a_block_with_redactions_before_it_for_every_cut():
    run = same([MAIL, STOP], chat({"content": "a@b."}, {"content": "com is for"}, {"content": "bidden a@b.com"}))
    assert texts(run.out) == {(0, "content"): "[mail] is "}
    assert run.blocked is STOP


def test_a_block_at_the_end_is_found_when_the_stream_ends():
    for raw in (
        chat({"content": "all is "}, {"content": "forbidden"}),
        sse(chunk({"content": "all is "}), chunk({"content": "forbidden"})),
    ):
        run = same([STOP], raw)
        assert texts(run.out) == {(0, "content"): "all is "}
        assert run.blocked is STOP
        assert b'"stop"' not in run.out.replace(b'"code":"stop"', b"")


def test_a_block_in_one_choice_ends_all_of_them():
    run = same(
        [STOP],
        sse(chunk({"content": "fine "}, 1), chunk({"content": "forbidden "}, 0), chunk({"content": "more"}, 1), DONE),
    )
    assert texts(run.out) == {(1, "content"): "fine "}
    assert run.refused is not None


def test_a_block_in_arguments_or_an_unknown_field():
    for delta in (
        call('{"q":"is forbidden"}'),
        {"new_field": "is forbidden "},
        {"annotations": [{"title": "forbidden "}]},
    ):
        run = same([STOP], chat({"content": "Hi. "}, delta))
        assert run.blocked is STOP
        assert b"forbidden" not in run.out


def test_nothing_follows_a_block():
    run = Run([STOP], [sse(chunk({"content": "a forbidden "})), sse(chunk({"content": "after"})), DONE.encode()])
    assert run.parts[1:] == [b"", b"", b""]


def test_auditing_changes_and_delays_nothing():
    watching = [
        policy("a", words("forbidden"), action=Action.BLOCK, mode=Mode.AUDIT),
        policy("b", regex(r"[a-z]{1,9}@b\.com"), action=Action.AUDIT),
    ]
    deltas = [{"content": piece} for piece in ("forb", "idden a", "@b.com", " forbidden")]
    parts = [sse(chunk(delta)) for delta in deltas] + [DONE.encode()]
    run = Run(watching, parts)
    assert run.parts == [*parts, b""]
    assert {(row["policy"], row["outcome"], row["count"]) for row in run.tally.rows()} == {
        ("a", "audit", 2),
        ("b", "audit", 1),
    }


# limits


def test_an_event_beyond_its_cap_ends_the_stream():
    raw = sse(chunk({"content": "hi "}), chunk({"content": "x" * 500}))
    for pieces in ([raw], [raw[at : at + 1] for at in range(len(raw))]):
        run = Run([MAIL], pieces, max_event=300)
        assert run.refused.code == "upstream_too_large"
        assert texts(run.out) == {(0, "content"): "hi "}


def test_more_held_back_than_the_cap_ends_the_stream():
    raw = sse(chunk({"content": "hi "}), *[chunk({"content": "x"}) for _ in range(19)])
    assert Run([MAIL], [raw]).refused is None
    run = Run([MAIL], [raw], max_held=1000)
    assert run.refused.code == "upstream_too_large"
    assert texts(run.out) == {(0, "content"): "hi "}


def test_too_many_open_texts_end_the_stream():
    raw = sse(*[chunk({"content": "x "}, index) for index in range(1025)])
    run = Run([MAIL], [raw])
    assert run.refused.code == "upstream_too_large"


def test_a_name_said_again_in_every_event_passes():
    raw = sse(*[chunk(call("", name="get_weather")) for _ in range(500)], DONE)
    assert Run([MAIL], [raw]).out == raw


def test_a_match_cut_over_pieces_of_a_name_ends_the_stream():
    run = Run([MAIL], [sse(*[chunk(call("", name=piece)) for piece in ("x" * 400, " jo", "hn@exa", "mple.com")], DONE)])
    assert run.refused.code == "mail"
    assert b"mple.com" not in run.out


def test_held_counts_what_waits_and_comes_back_to_nothing():
    run = Run([MAIL], [])
    stream = Run([MAIL], [sse(chunk({"content": "joh"}))]).stream
    assert run.stream.held == stream.held == 0


def test_random_streams_give_what_the_whole_texts_give():
    """Many choices and fields at once, deltas of any length, against the oracle."""
    dice = random.Random(11)
    wanted = [
        oracle.Pattern(r"\b[a-c.]{1,4}@[a-c]{1,3}\b", r"\b[a-c.]{1,4}@[a-c]{1,3}\b", 8),
        oracle.Words(("a b", "c")),
    ]
    policies = [policy("p", regex(wanted[0].re2, "[0]")), policy("w", words(*wanted[1].entries, replacement="[1]"))]
    changed = 0
    for _ in range(400):
        values = []
        for _ in range(dice.randint(1, 25)):
            field = dice.choice(["content", "content", "reasoning", "refusal"])
            delta = {field: "".join(dice.choices("aabc@@. é", k=dice.randint(0, 5)))}
            if dice.random() < 0.15:
                delta["reasoning_content"] = "a@"
            values.append(chunk(delta, dice.randint(0, 2)))
            if dice.random() < 0.1:
                values.append({"note": "a@b"})
        raw = sse(*values, DONE)
        whole = texts(raw)
        right = {key: oracle.redact(text, oracle.find(wanted, text), ["[0]", "[1]"])[0] for key, text in whole.items()}
        changed += right != whole
        out = Run(policies, [raw]).out
        assert texts(out) == right
        assert len(events(out)) == len(events(raw))
        assert Run(policies, oracle.cut(raw, dice.choices(range(len(raw)), k=20))).out == out
    assert changed > 200


def test_the_cost_of_a_stream_grows_with_its_length_alone(monkeypatch):
    """Counted, not timed: how many characters the rules are given to look at."""
    from extproc.policy import scanner

    looked = []

    class Counted(scanner.Sample):
        def __init__(self, text, *, closed):
            looked.append(len(text))
            super().__init__(text, closed=closed)

    monkeypatch.setattr(scanner, "Sample", Counted)
    totals = []
    for size in (500, 2000):
        looked.clear()
        Run([MAIL], [chat(*[{"content": "john "}] * size)])
        totals.append(sum(looked))
    assert totals[1] < 4.2 * totals[0]


def test_the_error_event_is_one_sdks_raise_on():
    out = Run([STOP], [chat({"content": "a forbidden "})]).out
    assert re.search(
        rb'data: {"error":{"message":"The answer was stopped by the policy \'stop\'.","type":"policy_violation"', out
    )
