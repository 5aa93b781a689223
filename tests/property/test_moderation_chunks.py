"""Texts cut for services and put together again: nothing is lost, nothing moves, limits hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.moderation.api import Finding, Mark, ModerationError, Text
from extproc.moderation.chunks import Limits, Piece, batches, fold, split
from extproc.policy.api import Scope

TEXTS = st.lists(st.text("ab\u00e9\U0001f600 ", max_size=60), max_size=6).map(
    lambda texts: [Text.of(Scope.USER, each) for each in texts]
)


@st.composite
def limits(draw, calls=1000):
    characters = draw(st.integers(1, 20))
    return Limits(
        texts=draw(st.integers(1, 5)),
        characters=characters,
        total=characters + draw(st.integers(0, 30)),
        overlap=draw(st.integers(0, characters - 1)),
        calls=calls,
    )


@given(TEXTS, limits())
def test_pieces_cover_every_text_within_the_limits(texts, within):
    pieces = split(texts, within)
    groups = batches(pieces, within)
    assert [piece for group in groups for piece in group] == pieces
    for group in groups:
        assert 1 <= len(group) <= within.texts
        assert sum(len(piece.text.text) for piece in group) <= within.total
    for piece in pieces:
        text = texts[piece.number]
        assert 1 <= len(piece.text.text) <= within.characters
        assert text.text[piece.start :].startswith(piece.text.text)
        assert piece.text[:2] == text[:2]
    for number, text in enumerate(texts):
        covered = {
            at
            for piece in pieces
            if piece.number == number
            for at in range(piece.start, piece.start + len(piece.text.text))
        }
        assert covered == set(range(len(text.text)))


@given(TEXTS, limits(), st.data())
def test_what_is_no_longer_than_the_overlap_is_whole_in_a_piece(texts, within, data):
    whole = [number for number, text in enumerate(texts) if text.text]
    if not whole:
        return
    number = data.draw(st.sampled_from(whole))
    text = texts[number].text
    start = data.draw(st.integers(0, len(text) - 1))
    end = min(len(text), start + data.draw(st.integers(1, within.overlap + 1)))
    assert any(
        piece.number == number and piece.start <= start and end <= piece.start + len(piece.text.text)
        for piece in split(texts, within)
    )


def find(text):
    """A service that knows runs of ``a``."""
    marks = []
    at = 0
    while at < len(text):
        end = at
        while end < len(text) and text[end] == "a":
            end += 1
        if end > at:
            marks.append(Mark(at, end, "run"))
        at = end + 1
    return Finding(bool(marks), {"run": float(bool(marks))}, ("run",) if marks else (), tuple(marks))


@given(TEXTS, limits())
def test_a_service_finds_in_the_pieces_what_it_finds_in_the_whole(texts, within):
    pieces = split(texts, within)
    found = fold(len(texts), [(piece, find(piece.text.text)) for piece in pieces])
    for text, finding in zip(texts, found, strict=True):
        whole = find(text.text)
        if text.text:  # nobody is asked about an empty one
            assert (finding.flagged, finding.scores, finding.labels) == (whole.flagged, whole.scores, whole.labels)
        marked = {at for mark in finding.marks for at in range(mark.start, mark.end)}
        assert marked == {at for mark in whole.marks for at in range(mark.start, mark.end)}
        if within.overlap:  # what stands on a border is one mark
            assert finding.marks == whole.marks


def test_a_text_is_as_bad_as_its_worst_piece():
    text = Text.of(Scope.USER, "x")
    parts = [
        (Piece(0, 0, text), Finding(False, {"a": 0.1, "b": 0.9}, ("b",), (Mark(0, 3, "m", 0.2), Mark(1, 2, "n")))),
        (Piece(0, 2, text), Finding(True, {"a": 0.3}, ("a",), (Mark(0, 4, "m", 0.7),))),
    ]
    assert fold(2, parts) == (
        Finding(True, {"a": 0.3, "b": 0.9}, ("a", "b"), (Mark(0, 6, "m", 0.7), Mark(1, 2, "n"))),
        Finding(),
    )


def test_too_many_calls_are_an_error():
    within = Limits(texts=1, characters=10, total=10, overlap=0, calls=3)
    text = Text.of(Scope.USER, "x" * 30)
    assert len(batches(split([text], within), within)) == 3
    with pytest.raises(ModerationError, match="more text"):
        batches(split([text._replace(text="x" * 31)], within), within)
