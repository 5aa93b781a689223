"""Arguments of tool calls in a stream: JSON that stays JSON, and names."""

import json

import pytest

from tests.property.streams import DONE, Run, chunk, policy, regex, sse, texts, words
from tests.unit.exchange.streamed import MAIL, call, chat, same

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
