"""What of a judgement counts: thresholds by category, or the service's own flag. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from extproc.moderation.api import FLAGGED, Finding, Judgement, Mark, Text


@dataclass(frozen=True, slots=True)
class Fired:
    """What counts: the categories, sorted, each once; and by text the places to redact (none where nothing fired)."""

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
    return next(((Mark(0, length, name),) for name in names if name not in placed), tuple(counts))
