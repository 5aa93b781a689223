"""Texts cut into what one call may carry, and what was said of the pieces put together again. Pure.

Pieces of a text overlap, so that what is shorter than the overlap is whole in one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from extproc.moderation.api import Finding, Mark, ModerationError, Text


@dataclass(frozen=True, slots=True)
class Limits:
    """What a service takes.

    Args:
        texts: in one call.
        characters: of one text.
        total: characters of all texts of one call; at least ``characters``.
        overlap: characters that a piece repeats of the one before it; less than ``characters``.
        calls: for one judgement.
        cut: whether a longer text may be cut; if not it cannot be judged.
    """

    texts: int = 32
    characters: int = 8_000
    total: int = 32_000
    overlap: int = 400
    calls: int = 64
    cut: bool = True


class Piece(NamedTuple):
    """A part of the text with this ``number`` that begins at ``start``."""

    number: int
    start: int
    text: Text


def split(texts: Sequence[Text], limits: Limits) -> list[Piece]:
    """The pieces of all texts, in order; empty texts have none.

    Raises:
        ModerationError: a text is too long and must not be cut.
    """
    pieces = []
    for number, text in enumerate(texts):
        length = len(text.text)
        if length > limits.characters and not limits.cut:
            raise ModerationError("a text is longer than the service takes")
        start = 0
        while start < length:
            end = start + limits.characters
            pieces.append(Piece(number, start, text._replace(text=text.text[start:end])))
            start = length if end >= length else end - limits.overlap
    return pieces


def batches(pieces: Iterable[Piece], limits: Limits) -> list[list[Piece]]:
    """The pieces of each call.

    Raises:
        ModerationError: that would be too many calls.
    """
    found: list[list[Piece]] = []
    size = 0
    for piece in pieces:
        length = len(piece.text.text)
        if not found or len(found[-1]) == limits.texts or size + length > limits.total:
            found.append([])
            size = 0
        found[-1].append(piece)
        size += length
    if len(found) > limits.calls:
        raise ModerationError("there is more text than the service may be asked about at once")
    return found


def fold(count: int, pieces: Iterable[tuple[Piece, Finding]]) -> tuple[Finding, ...]:
    """One finding for each of ``count`` texts: a text is as bad as its worst piece."""
    by_text: list[list[tuple[int, Finding]]] = [[] for _ in range(count)]
    for piece, finding in pieces:
        by_text[piece.number].append((piece.start, finding))
    return tuple(_together(each) for each in by_text)


def _together(parts: list[tuple[int, Finding]]) -> Finding:
    if len(parts) < 2:
        return parts[0][1] if parts else Finding()
    scores: dict[str, float] = {}
    for _, finding in parts:
        for name, score in finding.scores.items():
            scores[name] = max(score, scores.get(name, 0.0))
    return Finding(
        flagged=any(finding.flagged for _, finding in parts),
        scores=scores,
        labels=tuple(sorted({name for _, finding in parts for name in finding.labels})),
        marks=_joined(
            mark._replace(start=mark.start + start, end=mark.end + start)
            for start, finding in parts
            for mark in finding.marks
        ),
    )


def _joined(marks: Iterable[Mark]) -> tuple[Mark, ...]:
    """Marks with those of a category that overlap made one: the border of a piece cuts what the next one has whole."""
    found: list[Mark] = []
    open_: dict[str, int] = {}  # by category, its last mark's place in ``found``
    for mark in sorted(marks, key=lambda each: (each.start, each.end)):
        last = open_.get(mark.label)
        if last is not None and mark.start < found[last].end:
            before = found[last]
            end, score = max(before.end, mark.end), max(before.score, mark.score)
            found[last] = before._replace(end=end, score=score)
        else:
            open_[mark.label] = len(found)
            found.append(mark)
    return tuple(found)
