"""A whole body: every text in it decided at once, and the redacted ones replaced in place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from extproc.errors import LimitExceeded
from extproc.exchange import joining
from extproc.formats.base import Format, Span
from extproc.formats.signed import Signatures
from extproc.formats.walk import MAX_TEXTS
from extproc.framing.jsontext import Path, dump, replace
from extproc.policy.api import Decision, Outcome, Phase, Tally
from extproc.policy.chain import Chain
from extproc.policy.vault import Vault

_ORDER: Final = [*Outcome]
_FINAL: Final = frozenset({Outcome.BLOCK, Outcome.REPLY})


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
    asked = phase is Phase.REQUEST
    decision = _request(chain, value, spans, tally, vault) if asked else _answer(chain, spans, tally)
    if any(spans[index].fixed for index in (*decision.texts, *decision.cuts)):
        return Decision(Outcome.BLOCK, decision.policy), raw
    values: dict[Path, bytes] = {
        spans[index].path: dump(spans[index].put(text)) for index, text in decision.texts.items()
    }
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


def _answer(chain: Chain, spans: Sequence[Span], tally: Tally) -> Decision:
    """Decide about the texts of an answer: those of one track as one, so that it ends up as its stream would."""
    groups = joining.grouped(spans)
    texts = [
        (spans[group[0]].scope, "".join([spans[at].text for at in group]), spans[group[0]].json) for group in groups
    ]
    decision = chain.inspect(Phase.RESPONSE, texts, tally)
    if len(groups) == len(spans):
        return decision
    found = Decision(decision.outcome, decision.policy)
    for index, ops in decision.ops.items():
        group = groups[index]
        new = joining.spread(ops, [spans[at].text for at in group])
        found.texts |= {at: text for at, text in zip(group, new, strict=False) if text != spans[at].text}
        if index in decision.cuts:
            last = group[len(new) - 1]
            found.cuts[last] = found.texts.pop(last, new[-1])
            found.texts |= dict.fromkeys(group[len(new) :], "")
    return found


def _request(chain: Chain, value: Any, spans: Sequence[Span], tally: Tally, vault: Vault | None) -> Decision:
    """Decide about the texts of a request, then about what reaches from one part of a message into the next."""
    decision = chain.inspect(Phase.REQUEST, [(span.scope, span.text, span.json) for span in spans], tally, vault)
    if decision.outcome in _FINAL:
        return decision
    for run in joining.runs(value, spans):
        texts = [decision.texts.get(at, spans[at].text) for at in run]
        seams = joining.seams(texts)
        asked = [(spans[run[0]].scope, seam.text, False) for seam in seams]
        across = chain.inspect(Phase.REQUEST, asked, tally, vault, [seam.borders for seam in seams])
        if across.outcome in _FINAL:
            return across
        if across.ops:
            ops = [(seam, across.ops.get(at, [(len(seam.text), None)])) for at, seam in enumerate(seams)]
            new = joining.spread(joining.stitched(ops, sum(map(len, texts))), texts)
            decision.texts |= {at: text for at, old, text in zip(run, texts, new, strict=True) if text != old}
        if _ORDER.index(across.outcome) > _ORDER.index(decision.outcome):
            decision.outcome, decision.policy = across.outcome, decision.policy or across.policy
    return decision


def silenced(values: dict[Path, bytes], echoes: Iterable[Path]) -> dict[Path, bytes]:
    """These edits, and null in the place of every echo, with all that is changed in it."""
    nulls = dict.fromkeys(echoes, b"null")
    return {path: new for path, new in values.items() if not _within(path, nulls)} | nulls if nulls else values


def _within(path: Path, edits: Mapping[Path, bytes]) -> bool:
    """Whether a place lies in one that is replaced as a whole."""
    return any(path[: len(other)] == other for other in edits)
