"""What of a judgement counts: thresholds by category, or the service's own flag. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from extproc.moderation.api import FLAGGED, Finding, Judgement, Mark, Text


@dataclass(frozen=True, slots=True)
class Fired:
    """What counts: the categories, sorted, each once; and by text the places to redact (none where nothing fired).

    Places are in order and do not overlap: what overlaps is one place, with the category of the first (of those that begin
    together, the longest), as with rules.
    """

    labels: tuple[str, ...]
    marks: tuple[tuple[Mark, ...], ...]


def categories(finding: Finding, thresholds: Mapping[str, float]) -> tuple[str, ...]:
    """The categories of one text that fired.

    With thresholds those whose score reaches theirs, and no others, whatever the service flags. Without, those that the
    service flags: by name, else by their marks, else as ``flagged``.
    """
    if thresholds:
        return tuple(sorted(name for name, least in thresholds.items() if finding.scores.get(name, 0.0) >= least))
    if not finding.flagged:
        return ()
    return tuple(sorted(set(finding.labels) or {each.label for each in finding.marks} or {FLAGGED}))


def fired(judgement: Judgement, texts: Sequence[Text], thresholds: Mapping[str, float]) -> Fired:
    """What fired in these texts. What fired at no known place is the whole text: redacting must not leave it in."""
    labels: set[str] = set()
    marks = []
    for finding, text in zip(judgement.findings, texts, strict=True):
        names = categories(finding, thresholds)
        labels.update(names)
        marks.append(_places(finding, names, thresholds, len(text.text)) if names else ())
    return Fired(tuple(sorted(labels)), tuple(marks))


def _places(finding: Finding, names: tuple[str, ...], thresholds: Mapping[str, float], length: int) -> tuple[Mark, ...]:
    counts = [each for each in finding.marks if each.label in names and each.score >= thresholds.get(each.label, 0.0)]
    placed = {each.label for each in counts}
    unplaced = [name for name in names if name not in placed]
    return (Mark(0, length, unplaced[0]),) if unplaced else _apart(counts)


def _apart(marks: list[Mark]) -> tuple[Mark, ...]:
    found: list[Mark] = []
    for mark in sorted(marks, key=lambda each: (each.start, -each.end)):
        if found and mark.start < found[-1].end:
            found[-1] = found[-1]._replace(end=max(found[-1].end, mark.end))
        else:
            found.append(mark)
    return tuple(found)
