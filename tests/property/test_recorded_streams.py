"""The streaming law for whole recorded streams: nothing changes where nothing matches, and cuts never show."""

import os
import random
import re

import pytest

from extproc.guard import Guard
from extproc.policy.api import Action
from tests.property import oracle
from tests.property.streams import DONE, Run, events, policy, recorded, regex, sse, texts, words

pytestmark = pytest.mark.data

# Rules that match nothing in any recording, but begin to match all the time.
SILENT = [
    policy(
        "silent",
        words("the quick brown zyzzyva", "a zyzzyva", "zyzzyva"),
        regex(r"(?i)\b[a-z]{1,12} ?zyzzyva\b|\d{1,9}zyzzyva"),
    )
]
# A rule that never even begins to match.
MUTE = [policy("mute", regex(r"\x{10FFFD}{2}"))]
EXCERPT = 700 if int(os.environ.get("EXTPROC_TEST_CASES", "0")) >= 20_000 else 350


@pytest.fixture(scope="module")
def streams():
    found = recorded()
    assert len(found) >= 26
    return found


def bytewise(raw):
    return [raw[at : at + 1] for at in range(len(raw))]


def randomly(dice, raw):
    return oracle.cut(raw, dice.choices(range(len(raw)), k=dice.randint(1, 30)))


def complete(raw):
    """The part of a stream up to what SDKs read: nothing after the end of the answer."""
    return raw[: raw.index(DONE.encode()) + len(DONE)] if DONE.encode() in raw else raw


def same(out, raw, policies=SILENT):
    """Whether a stream left as it came. Comments (keep-alives) overtake held text: for them only that none is missing."""
    if policies is MUTE or b"\n: " not in b"\n" + raw:
        return out == raw
    left, came = blocks(out), blocks(raw)
    return sorted(left) == sorted(came) and [each for each in left if each[:1] != b":"] == [
        each for each in came if each[:1] != b":"
    ]


def blocks(raw):
    return re.findall(rb".+?(?:\n\n|\r\n\r\n|\Z)", raw, re.DOTALL)


def excerpt(raw, around=0, size=EXCERPT):
    """Whole events of a stream from the one at ``around`` on, some ``size`` bytes of them."""
    out, at = b"", 0
    for block in blocks(raw):
        at += len(block)
        if at > around and len(out) < size:
            out += block
    return out


SHIPPED = """
policies:
  pii: {kind: pii, find: all}
  secrets: {kind: secrets}
  profanity: {kind: wordlist, pack: [profanity, prompt-injection]}
  names: {kind: wordlist, words: [the weather, temperature], match: folded}
"""


def test_shipped_policies_find_the_same_however_a_stream_is_cut(streams, tmp_path):
    (tmp_path / "extproc.yaml").write_text(SHIPPED)
    policies = Guard.load(tmp_path / "extproc.yaml", environment={}).armed().policies
    dice = random.Random(2)
    redacted = 0
    all_of_them = int(os.environ.get("EXTPROC_TEST_CASES", "0")) >= 20_000
    for name, raw in streams.items():
        raw = complete(raw)
        wanted = Run(policies, [raw])
        redacted += wanted.out != raw
        whole = all_of_them or len(raw) < 6_000
        for pieces in (bytewise(raw) if whole else randomly(dice, raw), randomly(dice, raw)):
            assert texts(Run(policies, pieces).out) == texts(wanted.out), name
    assert redacted > 3


def test_where_nothing_matches_every_stream_leaves_as_it_came(streams):
    dice = random.Random(1)
    for name, raw in streams.items():
        raw = complete(raw)
        for policies in (MUTE, SILENT):
            for pieces in ([raw], bytewise(raw), randomly(dice, raw), randomly(dice, raw)):
                run = Run(policies, pieces)
                assert run.refused is None, (name, run.refused)
                assert same(run.out, raw, policies), name


def test_where_nothing_begins_to_match_every_event_leaves_with_its_last_byte(streams):
    for name, raw in streams.items():
        raw = complete(raw)
        run = Run(MUTE, bytewise(raw))
        sent = 0
        for at, part in enumerate(run.parts[:-1], 1):
            sent += len(part)
            if raw.endswith((b"\n\n", b"\n\r\n"), 0, at):
                assert sent == at, (name, raw[at - 40 : at])


def test_no_cut_at_a_single_byte_shows_where_nothing_matches(streams, record_property):
    cuts = whole = 0
    dice = random.Random(2)
    for name, raw in streams.items():
        raw = complete(raw)
        short = excerpt(raw, size=EXCERPT // 3)
        whole += short == raw
        for place in range(1, len(short)):
            assert same(Run(SILENT, [short[:place], short[place:]]).out, short), (name, place)
            cuts += 1
        for place in dice.sample(range(1, len(raw)), 8):
            assert same(Run(SILENT, [raw[:place], raw[place:]]).out, raw), (name, place)
            cuts += 1
    record_property("cuts", cuts)
    record_property("streams", len(streams))
    print(f"{cuts} single-byte cuts of {len(streams)} streams, {whole} of them whole")
    assert cuts > 8 * len(streams) + 150 * len(streams)


def chats(streams):
    """Chat streams with at least one text of several deltas."""
    found = {name: complete(raw) for name, raw in streams.items() if texts(raw)}
    assert len(found) >= 4
    return found


def boundaries(raw):
    """(text of a track, place in it, byte offset in the stream) where two deltas meet inside a word."""
    at, before = 0, {}
    for block in re.findall(rb".*?\n\r?\n|.+\Z", raw, re.DOTALL):
        for key, piece in texts(block).items():
            have = before.get(key, "")
            if have and piece and key[-1] != "name" and have[-1].isalnum() and piece[0].isalnum():
                yield key, len(have), at
            before[key] = have + piece
        at += len(block)


def expected(raw, rules, replacements):
    return {key: oracle.redact(text, oracle.find(rules, text), replacements)[0] for key, text in texts(raw).items()}


def cases(streams):
    """(name, stream, oracle's rules, our rules) with something to redact: a whole word, and one cut by a delta's end."""
    for name, raw in chats(streams).items():
        everything = texts(raw)
        longest = max(everything.values(), key=len)
        found = sorted(set(re.findall(r"\b[^\W\d_]{3,}\b", longest)), key=len)
        chosen = {found[len(found) // 2], found[-1]} if found else set()
        for key, place, _ in list(boundaries(raw))[:3]:
            text = everything[key]
            left = re.search(r"\w*\Z", text[:place])
            right = re.match(r"\w*", text[place:])
            chosen.add(left[0] + right[0])
        for word in sorted(chosen):
            yield name, raw, oracle.Words((word,)), words(word)
            around = rf"\w?{re.escape(word)}.{{0,2}}"
            yield name, raw, oracle.Pattern(around, around, len(word) + 3), regex(around, "[w]")


def test_texts_are_redacted_as_if_they_had_come_whole_for_every_cut(streams):
    dice = random.Random(3)
    count = 0
    for name, raw, wanted, rule in cases(streams):
        policies = [policy("p", rule)]
        right = expected(raw, [wanted], ["[w]"])
        if right == texts(raw) or any(text != texts(raw)[key] for key, text in right.items() if key[-1] == "name"):
            continue  # names do not wait: see tests/unit/exchange/test_streamed.py
        count += 1
        whole = Run(policies, [raw])
        assert texts(whole.out) == right, name
        assert whole.refused is None
        for pieces in (bytewise(raw), *(randomly(dice, raw) for _ in range(3))):
            assert Run(policies, pieces).out == whole.out, name
    assert count >= 12


def test_no_cut_at_a_single_byte_shows_where_something_matches(streams):
    count = cuts = 0
    for name, raw in chats(streams).items():
        for key, place, offset in list(boundaries(raw))[:2]:
            text = texts(raw)[key]
            word = re.search(r"\w*\Z", text[:place])[0] + re.match(r"\w*", text[place:])[0]
            short = excerpt(raw, max(0, offset - EXCERPT // 2))
            right = expected(short, [oracle.Words((word,))], ["[w]"])
            if right == texts(short):
                continue
            count += 1
            policies = [policy("p", words(word))]
            whole = Run(policies, [short]).out
            assert texts(whole) == right, name
            for at in range(1, len(short)):
                assert Run(policies, [short[:at], short[at:]]).out == whole, (name, at)
                cuts += 1
    print(f"{cuts} single-byte cuts of {count} excerpts with a redacted word")
    assert count >= 2


def test_events_without_a_match_keep_their_bytes(streams):
    for name, raw, _, rule in cases(streams):
        before = {block for block in re.split(rb"(?<=\n\n)", raw) if block}
        after = [block for block in re.split(rb"(?<=\n\n)", Run([policy("p", rule)], [raw]).out) if block]
        changed = [block for block in after if block not in before]
        for block in changed:
            assert len(events(block)) == 1, name
        assert len(changed) < len(after)


def test_a_block_stops_every_stream_before_the_match_for_every_cut(streams):
    dice = random.Random(4)
    count = 0
    for name, raw in chats(streams).items():
        key, text = max(texts(raw).items(), key=lambda each: len(each[1]))
        found = re.findall(r"\b[^\W\d_]{3,}\b", text)
        if not found:
            continue
        word = found[len(found) // 2]
        if sum(bool(oracle.find([oracle.Words((word,))], each)) for each in texts(raw).values()) > 1:
            continue
        count += 1
        policies = [policy("stop", words(word), action=Action.BLOCK)]
        whole = Run(policies, [raw])
        first = oracle.find([oracle.Words((word,))], text)[0]
        assert whole.blocked is not None, name
        received = texts(whole.out).get(key, "")
        assert received == text[: first.start], name
        for pieces in (bytewise(raw), *(randomly(dice, raw) for _ in range(3))):
            assert Run(policies, pieces).out == whole.out, name
    assert count >= 4


def test_streams_of_other_apis_are_read_as_plain_events(streams):
    """Every string in them is still looked at."""
    count = 0
    for name, raw in streams.items():
        if texts(raw):
            continue
        found = re.findall(rb'"(?:text|delta)": ?"(?:[^"\\]*?\W)?([A-Za-z]{5,})\b', raw)
        if not found:
            continue
        count += 1
        run = Run([policy("p", words(found[0].decode()))], [raw])
        assert run.refused is None or run.blocked, name  # cut over events it can only be stopped
        assert run.tally.counts, name
        assert not re.search(rb'"(?:text|delta)": ?"' + found[0] + rb'"', run.out), name
    assert count >= 8


def test_a_stream_cut_off_anywhere_gives_a_beginning_of_the_whole_answer(streams):
    dice = random.Random(5)
    for name, raw, wanted, rule in list(cases(streams))[:8]:
        for place in dice.sample(range(len(raw)), 10):
            run = Run([policy("p", rule)], [raw[:place]])
            if run.refused is None:  # an event cut in two at its end may still be whole
                assert texts(run.out) == expected(raw[:place], [wanted], ["[w]"]), (name, place)


def test_sse_written_by_the_tests_reads_back():
    assert events(sse({"a": 1}, DONE)) == [{"a": 1}, "[DONE]"]
