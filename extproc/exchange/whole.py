"""A whole body: every text in it decided at once, and the redacted ones replaced in place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from extproc.errors import LimitExceeded
from extproc.formats.base import Format
from extproc.formats.signed import Signatures
from extproc.formats.walk import MAX_TEXTS
from extproc.framing.jsontext import Path, dump, replace
from extproc.policy.api import Decision, Outcome, Phase, Tally
from extproc.policy.chain import Chain
from extproc.policy.vault import Vault


def inspect(
    format_: Format, chain: Chain, phase: Phase, raw: bytes, value: Any, tally: Tally, vault: Vault | None = None
) -> tuple[Decision, bytes]:
    """Decide about a request or an answer.

    Args:
        raw: the body as bytes; ``value`` what ``jsontext.parse`` made of it.
        vault: takes what is redacted and can be restored.

    Returns:
        The decision, and the body: ``raw`` itself where nothing changed. An answer that is truncated is blocked and has a
        body (see ``Decision.cuts``).

    Raises:
        LimitExceeded: it has more texts than can be inspected in time.
    """
    if not chain.guards(phase):
        return Decision(), raw
    spans = list(format_.request_spans(value) if phase is Phase.REQUEST else format_.response_spans(value))
    if len(spans) > MAX_TEXTS:
        raise LimitExceeded(f"it has more than {MAX_TEXTS} texts")
    decision = chain.inspect(phase, [(span.scope, span.text, span.json) for span in spans], tally, vault)
    if any(spans[index].fixed for index in (*decision.texts, *decision.cuts)):
        return Decision(Outcome.BLOCK, decision.policy), raw
    values: dict[Path, bytes] = {spans[index].path: dump(text) for index, text in decision.texts.items()}
    if phase is Phase.RESPONSE:
        values = silenced(values, format_.echoes(value, set(values)))
    values |= Signatures(format_).blanked(value, values)
    ends: dict[Path, bytes] = {}
    for index in sorted(decision.cuts):  # what the first one takes away or ends stays so
        edits = format_.cut(value, spans[index].path, decision.cuts[index])
        ends |= {path: new for path, new in edits.items() if not _within(path, ends)}
    # what one takes away as a whole, another need not cut
    ends = {path: new for path, new in ends.items() if not any(path[:end] in ends for end in range(len(path)))}
    if ends:
        values = {path: new for path, new in values.items() if not _within(path, ends)} | ends
    return decision, replace(raw, values) if values else raw


def silenced(values: dict[Path, bytes], echoes: Iterable[Path]) -> dict[Path, bytes]:
    """These edits, and null in the place of every echo, with all that is changed in it."""
    nulls = dict.fromkeys(echoes, b"null")
    return {path: new for path, new in values.items() if not _within(path, nulls)} | nulls if nulls else values


def _within(path: Path, edits: Mapping[Path, bytes]) -> bool:
    """Whether a place lies in one that is replaced as a whole."""
    return any(path[: len(other)] == other for other in edits)
