"""Parts of one message: what reaches from one into the next is found, whatever lies between them that says nothing."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.exchange.joining import runs, seams, spread, stitched
from extproc.exchange.whole import inspect
from extproc.formats.registry import FORMATS
from extproc.framing.jsontext import parse
from extproc.policy.api import Action, Outcome, Phase, Scope, Tally
from extproc.policy.vault import Vault
from tests.property.streams import chain, policy, regex, words

MAIL = policy("mail", regex(r"\b[a-z.]{1,20}@[a-z]{1,20}\.com\b", "[mail]"))
STOP = policy("stop", words("forbidden"), action=Action.BLOCK)
WATCH = policy("watch", words("forbidden"), action=Action.AUDIT)


def chat(parts):
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": each} for each in parts]}]}


def responses(parts):
    return {"input": [{"role": "user", "content": [{"type": "input_text", "text": each} for each in parts]}]}


def converse(parts):
    return {"messages": [{"role": "user", "content": [{"text": each} for each in parts]}]}


def gemini(parts):
    return {"contents": [{"role": "user", "parts": [{"text": each} for each in parts]}]}


def system(parts):
    return {"system": [{"type": "text", "text": each} for each in parts], "messages": []}


def result(parts):
    content = [{"type": "text", "text": each} for each in parts]
    return {
        "messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": content}]}]
    }


BODIES = {
    "openai-chat": chat,
    "openai-responses": responses,
    "bedrock-converse": converse,
    "gemini": gemini,
    "anthropic-messages": chat,
}


def run(body, *policies, name="openai-chat", vault=None):
    tally = Tally()
    raw = json.dumps(body).encode()
    decision, out = inspect(FORMATS[name], chain(policies), Phase.REQUEST, raw, parse(raw), tally, vault)
    return decision, json.loads(out), tally


@pytest.mark.parametrize("name", BODIES)
def test_a_word_over_two_parts_is_redacted(name):
    body = BODIES[name]
    decision, out, tally = run(body(["I am ann", "@x.co", "m or c@d.com"]), MAIL, name=name)
    assert out == body(["I am [mail]", "", " or [mail]"])
    assert decision.outcome is Outcome.REDACT
    assert decision.policy is MAIL
    assert sum(tally.counts.values()) == 2


@pytest.mark.parametrize("body", [system, result])
def test_in_other_places_too(body):
    assert run(body(["ann@", "x.com"]), MAIL, name="anthropic-messages")[1] == body(["[mail]", ""])


def test_it_is_blocked():
    decision, _, tally = run(chat(["it is for", "bidden"]), STOP)
    assert decision.outcome is Outcome.BLOCK
    assert decision.policy is STOP
    assert sum(tally.counts.values()) == 1


def test_what_only_watches_changes_nothing():
    decision, out, _ = run(chat(["it is for", "bidden"]), WATCH)
    assert decision.outcome is Outcome.AUDIT
    assert out == chat(["it is for", "bidden"])


def test_each_part_is_still_judged_by_itself():
    decision, _, tally = run(chat(["it is forbidden", "Text"]), STOP)
    assert decision.outcome is Outcome.BLOCK
    assert run(chat(["a forbidden", " one"]), WATCH)[2].counts == {("watch", "w", "audit"): 1}
    assert sum(tally.counts.values()) == 1


def test_an_empty_part_hides_nothing_but_a_picture_divides():
    text = [{"type": "text", "text": each} for each in ("ann@", "", "x.com")]
    picture = {"type": "image_url", "image_url": {"url": "https://a/b.png"}}
    hidden, divided = (
        run({"messages": [{"role": "user", "content": each}]}, MAIL)[1]["messages"][0]["content"]
        for each in (text, [text[0], picture, text[2]])
    )
    assert [each["text"] for each in hidden] == ["[mail]", "", ""]
    assert divided == [text[0], picture, text[2]]


def test_messages_are_apart():
    body = {"messages": [{"role": "user", "content": "ann@"}, {"role": "user", "content": "x.com"}]}
    assert run(body, MAIL)[1] == body


def test_what_is_taken_out_over_a_border_can_be_restored():
    restoring = policy("mail", regex(r"\b[a-z.]{1,20}@[a-z]{1,20}\.com\b", "[mail]"))
    object.__setattr__(restoring, "restore", True)
    vault = Vault("")
    _, out, _ = run(chat(["ann@", "x.com"]), restoring, vault=vault)
    first, second = (each["text"] for each in out["messages"][0]["content"])
    assert "ann@" not in first
    assert first
    assert second == ""
    assert vault.policy() is not None


@pytest.mark.parametrize("length", [3000, 4096, 9000, 100_000])
def test_long_parts_are_looked_at_where_they_meet(length):
    filler = "so " * (length // 3)
    body = [filler + "ann@", "x.com " + filler, filler + "bob@", "x.com", " "]
    out = run(chat(body), MAIL)[1]["messages"][0]["content"]
    assert "".join(each["text"] for each in out) == filler + "[mail] " + filler * 2 + "[mail] "


TEXTS = st.lists(st.text("ab", max_size=5), min_size=1, max_size=6)


@given(TEXTS, st.data())
def test_operations_are_spread_over_the_texts(texts, draw):
    joined = "".join(texts)
    ops, at = [], 0
    while at < len(joined):
        length = draw.draw(st.integers(1, len(joined) - at))
        ops.append((length, draw.draw(st.sampled_from([None, "", "X"]))))
        at += length
    found = spread(ops, texts)
    expected, at = "", 0
    for length, new in ops:
        expected += joined[at : at + length] if new is None else new
        at += length
    assert "".join(found) == expected
    assert len(found) == len(texts)
    assert spread([(len(joined), None)] if joined else [], texts) == texts


@given(st.lists(st.sampled_from([0, 1, 100, 4000, 8192, 8193, 20_000]), min_size=2, max_size=6))
def test_seams_are_stretches_of_the_text_with_every_border_in_one(lengths):
    texts = [chr(97 + number) * length for number, length in enumerate(lengths)]
    joined = "".join(texts)
    found = seams(texts)
    borders = [seam.start + border for seam in found for border in seam.borders]
    assert borders == [sum(lengths[: number + 1]) for number in range(len(lengths) - 1)]
    at = 0
    for seam in found:
        assert seam.start >= at
        at = seam.start + len(seam.text)
        assert joined[seam.start : at] == seam.text
    kept = stitched([(seam, [(len(seam.text), None)] if seam.text else []) for seam in found], len(joined))
    assert sum(length for length, _ in kept) == len(joined)


def test_parts_of_another_scope_or_out_of_order_are_no_run():
    spans = FORMATS["openai-chat"].request_spans(chat(["a", "b"]))
    assert list(runs(chat(["a", "b"]), spans)) == [[0, 1]]
    assert list(runs(chat(["a", "b"]), spans[::-1])) == []
    spans[1].scope = Scope.SYSTEM
    assert list(runs(chat(["a", "b"]), spans)) == []
