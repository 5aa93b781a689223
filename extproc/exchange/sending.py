"""From what was decided about a request to how it goes on: which backends can serve it, and with what body."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from extproc.chat.losses import Losses
from extproc.errors import Unrepresentable
from extproc.events import Headers
from extproc.exchange import planning
from extproc.exchange.bodies import Body
from extproc.exchange.forward import Sent
from extproc.exchange.inbound import Decided
from extproc.exchange.planning import Wanted
from extproc.formats.registry import FORMATS
from extproc.framing.jsontext import dump, set_member
from extproc.groups import Group
from extproc.operations import Asked, Passage
from extproc.telemetry import Record

_NOWHERE: Final = Passage("")


def send(
    asked: Asked, headers: Headers, group: Group, decided: Decided, record: Record, read: Body, received: bytes
) -> Sent:
    """How a request goes on.

    ``received`` is the body that came, ``read`` what it was read as: where it goes on as it is, nothing is sent in its place.

    Raises:
        Refused: no backend of the group can serve it, or the only one cannot be told of it.
    """
    passage = asked.passage or _NOWHERE
    wanted = Wanted(
        str(asked.operation),
        asked.format,
        decided.model,
        record.stream,
        not asked.names_model and bool(decided.model),
        asked.listed,
        planning.betas(headers["anthropic-beta"]) if "anthropic-beta" in headers else (),
        path=passage.path,
        target=passage.target,
    )
    raw, value = decided.sent, decided.body
    if wanted.named and (asked.model is not None or value.get("model") != decided.model):
        raw = set_member(raw, "model", dump(decided.model))
    with_usage = planning.with_usage(group, wanted, raw, value)
    plans = planning.choose(group, wanted, raw, value)
    body = raw if with_usage is None else with_usage
    losses = Losses()
    if group.only:
        body = planning.ready(plans[0], wanted, body, None, losses)
    elif planning.sealed(wanted.format, body):
        wanted = replace(wanted, sealed=True)
    record.losses += [f"{path}: {why}" for path, why in losses.found]
    sent, media = written(read, body)
    changed = None if sent is received else sent
    return Sent(
        group,
        wanted,
        plans,
        record.request_id,
        changed,
        sent,
        media=media,
        headers=decided.headers | ({"content-encoding": read.coding} if read.coding else {}),
        usage=planning.wants_usage(wanted, value),
        hides=with_usage is not None,
    )


_COUNTED: Final = {"anthropic-count": "input_tokens", "gemini-count": "totalTokens", "bedrock-count": "inputTokens"}


def estimate(asked: Asked, group: Group, decided: Decided) -> bytes | None:
    """The tokens of a request that wants to know them, where no backend of the group can tell; else None.

    Estimated as policies do: for each text its bytes in UTF-8 by four, rounded up.
    """
    name = _COUNTED.get(asked.format)
    if name is None:
        return None
    wanted = Wanted(str(asked.operation), asked.format, decided.model, stream=False, named=not asked.names_model)
    if any(planning.plan(backend, wanted) for backend in group.backends):
        return None
    spans = FORMATS[asked.format].request_spans(decided.body)
    return dump({name: sum(-(-len(span.text.encode()) // 4) for span in spans)})


def written(read: Body, raw: bytes) -> tuple[bytes, str]:
    """What goes on where this JSON text is left of a body, and its content type.

    Raises:
        Refused: it cannot be said in the body's own form.
    """
    try:
        return read.sent(raw)
    except Unrepresentable as error:
        raise planning.unrepresentable(error) from None
