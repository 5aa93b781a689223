"""A whole body: every text in it decided at once, and the redacted ones replaced in place."""

from __future__ import annotations

from typing import Any

from extproc.errors import LimitExceeded
from extproc.formats.base import Format
from extproc.formats.walk import MAX_TEXTS
from extproc.framing.jsontext import Path, dump, replace
from extproc.policy.api import Decision, Phase, Tally
from extproc.policy.chain import Chain


def inspect(
    format_: Format, chain: Chain, phase: Phase, raw: bytes, value: Any, tally: Tally
) -> tuple[Decision, bytes]:
    """Decide about a request or an answer.

    Args:
        raw: the body as bytes; ``value`` what ``jsontext.parse`` made of it.

    Returns:
        The decision, and the body: ``raw`` itself where nothing changed.

    Raises:
        LimitExceeded: it has more texts than can be inspected in time.
    """
    if not chain.guards(phase):
        return Decision(), raw
    spans = list(format_.request_spans(value) if phase is Phase.REQUEST else format_.response_spans(value))
    if len(spans) > MAX_TEXTS:
        raise LimitExceeded(f"it has more than {MAX_TEXTS} texts")
    decision = chain.inspect(phase, [(span.scope, span.text, span.json) for span in spans], tally)
    values: dict[Path, bytes] = {spans[index].path: dump(text) for index, text in decision.texts.items()}
    if phase is Phase.RESPONSE:
        for echo in format_.echoes(value, set(values)):
            values[echo] = b"null"
    return decision, replace(raw, values) if values else raw
