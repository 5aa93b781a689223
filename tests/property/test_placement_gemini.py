"""Every string of every recorded exchange of Gemini is seen by its format, whatever is put there; streams keep the law.

What may hold a short token unseen is listed below, by name and with the reason; an address or a sentence never may.
"""

import json
import random
import re
from dataclasses import replace

import pytest

from extproc.errors import DecodeError
from extproc.exchange.streamed import GuardedStream
from extproc.exchange.whole import inspect
from extproc.formats.gemini import Gemini, texts
from extproc.framing.jsontext import parse
from extproc.policy.api import Action, Outcome, Phase, Style, Tally
from extproc.policy.chain import Chain
from extproc.usage import Meter
from tests.golden.gemini import bodies, requests, streams
from tests.property import oracle
from tests.property.streams import policy, regex, words
from tests.property.test_placement import MARKER, WORD, variants

pytestmark = pytest.mark.data

FORMAT = Gemini()
STRUCTURE = {
    "names that an API gives to things, and takes back": {
        "id", "model", "modelVersion", "responseId", "createTime", "cachedContent",
    },
    "one of a few words that an API knows; others it refuses": {
        "role", "finishReason", "blockReason", "mimeType", "responseMimeType", "modality", "responseModalities",
        "category", "threshold", "probability", "severity", "method", "mode", "language", "outcome", "mediaResolution",
        "level", "thinkingLevel", "serviceTier", "trafficType", "urlRetrievalStatus", "behavior", "scheduling",
        "toolType", "taskType", "type", "format", "status",
    },
}  # fmt: skip
"""Where one short token is not looked at, in either spelling."""
TOKENS = frozenset().union(*STRUCTURE.values())


def camel(name):
    return re.sub("_([a-z])", lambda found: found[1].upper(), name)


def snake(value):
    if isinstance(value, list):
        return [snake(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {re.sub("([A-Z])", lambda found: "_" + found[1].lower(), name): snake(each) for name, each in value.items()}


def test_the_list_of_structure_is_the_codes():
    assert {camel(name) for name in texts._SKIP} == TOKENS


def unseen(at, new):
    name = next((key for key in reversed(at) if isinstance(key, str)), "")
    free = {"args", "response"} & set(at)  # what models and callers make up: there no name means anything
    return new == WORD and camel(name) in TOKENS and not free


def short(value):
    """Lists with their first elements: the others are alike."""
    if isinstance(value, dict):
        return {name: short(child) for name, child in value.items()}
    return [short(each) for each in value[:2]] if isinstance(value, list) else value


def check(values, find):
    count = 0
    for name, value in values:
        for at, new, changed in variants(short(value)):
            seen = [each.text for each in find(changed)]
            mark = MARKER if MARKER in new else WORD
            count += 1
            dropped = "chosenCandidates" in at and FORMAT.echoes(changed, set())  # the tokens of the text itself
            assert any(mark in text for text in seen) or dropped or unseen(at, new), (name, at)
    return count


def test_every_string_of_every_request():
    assert check([(name, body) for name, _, body in requests()], FORMAT.request_spans) > 1000


def test_every_string_of_every_request_in_the_other_spelling():
    assert check([(name, snake(body)) for name, _, body in requests()], FORMAT.request_spans) > 1000


def test_every_string_of_every_whole_answer():
    assert check(bodies(), FORMAT.response_spans) + check(((n, [b]) for n, b in bodies()), FORMAT.response_spans) > 2000


def values_of(raw):
    return [json.loads(line[5:]) for line in raw.splitlines() if line.startswith(b"data: {")]


def test_every_string_of_every_event():
    found = [(name, value) for name, raw in streams().items() for value in values_of(raw)]
    assert check(found, lambda event: FORMAT.delta(event).pieces) > 1000


# the streaming law


def run(policies, pieces):
    stream = GuardedStream(FORMAT, Chain(policies), Tally(), Meter(FORMAT), 1 << 20, 4 << 20)
    out = b"".join([*(stream.feed(piece) for piece in pieces), stream.close()])
    return out, stream


def shown(raw):
    """What a client puts together: for each candidate its texts, and its thoughts."""
    found = {}
    for value in values_of(raw):
        for candidate in value.get("candidates", []):
            for part in candidate.get("content", {}).get("parts", []):
                if "text" in part:
                    key = candidate.get("index", 0), part.get("thought", False)
                    found[key] = found.get(key, "") + part["text"]
    return found


def words_of(text):
    found = sorted(set(re.findall(r"\b[^\W\d_]{4,}\b", text)), key=len)
    return {found[len(found) // 2], found[-1]} if found else set()


def test_where_nothing_matches_every_stream_leaves_as_it_came():
    silent = [policy("silent", words("the quick brown zyzzyva"), regex(r"(?i)\b[a-z]{1,12} ?zyzzyva\b"))]
    dice = random.Random(1)
    for name, raw in streams().items():
        for pieces in (
            [raw],
            [raw[at : at + 1] for at in range(len(raw))],
            oracle.cut(raw, dice.choices(range(len(raw)), k=9)),
        ):
            out, stream = run(silent, pieces)
            assert stream.refused is None, name
            assert sorted(values_of(out), key=str) == sorted(values_of(raw), key=str), name
            assert shown(out) == shown(raw), name


def test_redacting_a_stream_is_redacting_the_whole_text():
    dice = random.Random(2)
    count = 0
    for name, raw in streams().items():
        for text in shown(raw).values():
            for word in sorted(words_of(text)):
                rule, policies = oracle.Words((word,)), [policy("p", words(word))]
                wanted = {
                    key: oracle.redact(each, oracle.find([rule], each), ["[w]"])[0] for key, each in shown(raw).items()
                }
                for pieces in ([raw], oracle.cut(raw, dice.choices(range(len(raw)), k=20))):
                    out, stream = run(policies, pieces)
                    assert stream.refused is None, name
                    assert shown(out) == wanted, (name, word)
                    count += 1
    assert count > 20


def event(*parts, **more):
    value = {"candidates": [{"content": {"parts": [*parts], "role": "model"}, **more}]}
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def test_a_secret_in_two_texts_is_found_whatever_stands_between():
    between = [
        [],
        [event({"text": "hm", "thought": True})],
        [event({"functionCall": {"name": "f", "args": {"a": "b"}}})],
        [event({"executableCode": {"code": "1"}}), event({"codeExecutionResult": {"output": "2"}})],
        [event({"inlineData": {"mimeType": "image/png", "data": "QUJD"}})],
    ]
    for middle in between:
        raw = b"".join([event({"text": "a sec"}), *middle, event({"text": "ret b"}, finishReason="STOP")])
        out, _ = run([policy("p", words("secret"))], [raw])
        assert shown(out)[0, False] == "a [w] b"
        assert len(values_of(out)) == len(values_of(raw))


def test_thoughts_do_not_hold_back_the_answer():
    policies = [policy("p", words("secret word"))]
    thought, text = event({"text": "the secret", "thought": True}), event({"text": "hello there"})
    stream = GuardedStream(FORMAT, Chain(policies), Tally(), Meter(FORMAT), 1 << 20, 4 << 20)
    assert stream.feed(thought) == b""
    assert stream.feed(text) == text
    rest = stream.feed(event({"text": "!"}, finishReason="STOP")) + stream.close()
    assert shown(rest) == {(0, True): "the secret", (0, False): "!"}


def test_arguments_of_calls_are_redacted_in_place():
    raw = event({"functionCall": {"name": "f", "args": {"to": ["a secret"], "n": 1}}}, finishReason="STOP")
    out, _ = run([policy("p", words("secret"))], [raw])
    assert values_of(out)[0]["candidates"][0]["content"]["parts"][0]["functionCall"]["args"] == {
        "to": ["a [w]"],
        "n": 1,
    }


def test_a_stream_that_cannot_be_told_apart_is_refused():
    with pytest.raises(DecodeError):
        FORMAT.delta({"candidates": [{}, {}]})
    out, stream = run([policy("p", words("secret"))], [event({"text": "hi"}), b'data: {"candidates":[{},{}]}\n\n'])
    assert stream.refused.code == "upstream_malformed"
    assert values_of(out)[-1]["error"]["status"] == "UNAVAILABLE"


# whole answers


def decided(body, *policies):
    raw = json.dumps(body).encode()
    decision, out = inspect(FORMAT, Chain(policies), Phase.RESPONSE, raw, parse(raw), Tally())
    return decision, json.loads(out)


def test_a_whole_answer_is_redacted_truncated_and_stripped_of_what_repeats_it_at_once():
    parts = [{"text": "a secret "}, {"text": "and worse"}, {"functionCall": {"name": "f", "args": {"a": "secret"}}}]
    tokens = [{"token": "a secret "}, {"token": "and worse"}]
    body = {
        "candidates": [
            {"content": {"parts": parts}, "logprobsResult": {"chosenCandidates": tokens}, "finishReason": "STOP"}
        ]
    }
    truncating = replace(policy("cut", words("worse"), action=Action.BLOCK), style=Style.TRUNCATE)
    for each in (body, [body]):
        decision, left = decided(each, policy("p", words("secret")), truncating)
        assert decision.outcome is Outcome.BLOCK
        (candidate,) = (left[0] if isinstance(left, list) else left)["candidates"]
        assert candidate == {
            "content": {"parts": [{"text": "a [w] "}, {"text": "and "}, {"functionCall": None}]},
            "logprobsResult": None,
            "finishReason": "SAFETY",
        }
    _, left = decided(body, policy("p", words("secret")))
    assert left["candidates"][0]["logprobsResult"] is None
    assert left["candidates"][0]["content"]["parts"][2]["functionCall"]["args"] == {"a": "[w]"}
