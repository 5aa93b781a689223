"""Every string of every recorded exchange with Bedrock is seen, whatever is put there; guarded streams keep the law.

What may hold a short token unseen is listed below, by name and with the reason; an address or a sentence never may.
"""

import json
import random
import re

import pytest

from extproc.errors import DecodeError
from extproc.exchange.streamed import GuardedStream
from extproc.formats.bedrock import Converse, Invoke, InvokeClaude, texts
from extproc.framing.aws import CARRIED, NAMED
from extproc.policy.api import Tally
from extproc.policy.chain import Chain
from extproc.usage import Meter
from tests.golden.bedrock import all_answers, all_streams, recorded
from tests.property import oracle
from tests.property.streams import policy, words
from tests.property.test_placement import MARKER, WORD, variants

pytestmark = pytest.mark.data

FORMAT = Converse()
STRUCTURE = {
    "names that an API gives to things, and takes back": {
        "toolUseId", "guardrailIdentifier", "guardrailVersion", "bucketOwner",
    },
    "one of a few words that an API knows; others it refuses": {
        "role", "format", "type", "status", "stopReason", "ttl", "latency", "effort", "trace", "streamProcessingMode",
        "qualifiers",
    },
    "letters that hide a length": {"p"},
}  # fmt: skip
"""Where one short token is not looked at."""
TOKENS = frozenset().union(*STRUCTURE.values())
FREE = {
    "input", "json", "inputSchema", "additionalModelRequestFields", "additionalModelResponseFields", "requestMetadata",
    "promptVariables",
}  # fmt: skip
"""What models and callers make up: there no name means anything."""


def test_the_list_of_structure_is_the_codes():
    assert texts._SKIP == TOKENS


def unseen(at, new):
    name = next((key for key in reversed(at) if isinstance(key, str)), "")
    return new == WORD and name in TOKENS and not FREE & set(at)


def short(value):
    """Lists with their first elements, the others are alike; and long texts cut off."""
    if isinstance(value, dict):
        return {name: short(child) for name, child in value.items()}
    if isinstance(value, list):
        return [short(each) for each in value[:3]]
    return value[:300] if isinstance(value, str) else value


def check(values, find):
    count = 0
    for name, value in values:
        for at, new, changed in variants(short(value)):
            try:
                seen = [each.text for each in find(changed)]
            except DecodeError:
                continue
            mark = MARKER if MARKER in new else WORD
            count += 1
            assert any(mark in text for text in seen) or unseen(at, new), (name, at, new)
    return count


def test_every_string_of_every_request():
    found = [(name, body) for name, _, body, _, _ in recorded("converse", "converse-stream")]
    assert check(found, FORMAT.request_spans) > 2000


def test_every_string_of_every_answer():
    errors = [(name, json.loads(raw)) for name, _, _, status, raw in recorded("converse") if status >= 400]
    assert check(all_answers() + errors, FORMAT.response_spans) > 1000


def cut(raw, framing=NAMED):
    return list(framing.reader(1 << 20).feed(raw))


def test_every_string_of_every_event():
    events = [(name, json.loads(each.data)) for name, raw in all_streams() for each in cut(raw)[:40] + cut(raw)[-6:]]
    assert check(events, lambda event: FORMAT.delta(event).pieces) > 1000


def test_every_string_of_every_body_of_invoke():
    found = recorded("invoke", "invoke-with-response-stream")
    count = check([(name, body) for name, _, body, _, _ in found], Invoke().request_spans)
    whole = [(name, json.loads(raw)) for name, _, _, _, raw in recorded("invoke")]
    count += check(whole, Invoke().response_spans)
    chunks = [
        (name, json.loads(each.data))
        for name, _, _, _, raw in recorded("invoke-with-response-stream")
        for each in cut(raw, CARRIED)
        if each.data
    ]
    assert count + check(chunks, lambda event: Invoke().delta(event).pieces) > 1000


# streams


def run(format_, policies, pieces):
    stream = GuardedStream(format_, Chain(policies), Tally(), Meter(format_), 1 << 20, 4 << 20)
    out = b"".join([*(stream.feed(piece) for piece in pieces), stream.close()])
    return out, stream.refused


def said(raw):
    """What a client shows: for each block its texts put together; and those of neighbouring blocks of text."""
    found = {}
    kinds = []
    for event in cut(raw):
        delta = json.loads(event.data).get("contentBlockDelta")
        for name, value in (delta or {}).get("delta", {}).items():
            text = value if isinstance(value, str) else value.get("text", value.get("input", ""))
            if not kinds or kinds[-1] != name:
                kinds.append(name)
            key = (len(kinds), name)
            found[key] = found.get(key, "") + text
    return found


def chosen(texts_):
    """Words to look for."""
    longest = max(texts_.values(), key=len, default="")
    found = sorted(set(re.findall(r"\b[^\W\d_]{3,}\b", longest)), key=len)
    return {found[len(found) // 2], found[-1], found[0]} if found else set()


def bytewise(raw):
    return [raw[at : at + 1] for at in range(len(raw))]


def randomly(dice, raw):
    return oracle.cut(raw, dice.choices(range(len(raw)), k=dice.randint(1, 30)))


SILENT = [policy("silent", words("the quick brown zyzzyva", "a zyzzyva", "zyzzyva"))]


def test_streams_pass_byte_for_byte_where_nothing_matches():
    dice = random.Random(1)
    for name, raw in all_streams():
        for pieces in ([raw], bytewise(raw), *(randomly(dice, raw) for _ in range(3))):
            assert run(FORMAT, SILENT, pieces) == (raw, None), name
    for name, _, _, _, raw in recorded("invoke-with-response-stream"):
        for format_ in (Invoke(), InvokeClaude()):
            for pieces in ([raw], bytewise(raw), *(randomly(dice, raw) for _ in range(3))):
                assert run(format_, SILENT, pieces) == (raw, None), (name, format_.name)


def test_texts_are_redacted_as_if_they_had_come_whole_for_every_cut():
    dice = random.Random(2)
    count = 0
    for name, raw in all_streams():
        for word in chosen(said(raw)):
            policies = [policy("p", words(word))]
            rule = [oracle.Words((word,))]
            right = {key: oracle.redact(text, oracle.find(rule, text), ["[w]"])[0] for key, text in said(raw).items()}
            whole, refused = run(FORMAT, policies, [raw])
            if refused:  # a word that stands in a name can only end the stream
                continue
            assert said(whole) == right, (name, word)
            count += right != said(raw)
            for pieces in (bytewise(raw), *(randomly(dice, raw) for _ in range(3))):
                assert run(FORMAT, policies, pieces)[0] == whole, (name, word)
    assert count >= 5


def test_words_of_chunks_are_redacted_for_every_cut():
    dice = random.Random(3)
    count = 0
    for name, _, _, _, raw in recorded("invoke-with-response-stream"):
        for format_ in (Invoke(), InvokeClaude()):
            whole, refused = run(format_, [policy("p", words("test", "computer", "Seattle"))], [raw])
            assert refused is None, name
            events = [json.loads(each.data) for each in cut(whole, CARRIED)]
            text = json.dumps(events)
            count += "[w]" in text
            assert "Seattle" not in text, name
            for pieces in (bytewise(raw), *(randomly(dice, raw) for _ in range(3))):
                assert run(format_, [policy("p", words("test", "computer", "Seattle"))], pieces)[0] == whole, name
    assert count >= 4
