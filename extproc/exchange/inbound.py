"""The request's body: read, judged, redacted. What comes out is what goes on, or why it does not.

Order: the rules that judge a request as a whole see it first, as the client sent it; the text rules see what those left;
services see what the text rules left, so that nothing reaches a service that must not leave the house.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from extproc import operations
from extproc.errors import DecodeError, LimitExceeded, Refused
from extproc.events import Headers
from extproc.exchange import bodies, whole
from extproc.exchange.bodies import Body
from extproc.exchange.judging import Found, Question, Said
from extproc.formats.base import Format
from extproc.framing import compression
from extproc.framing.jsontext import Path, dump, parse, replace
from extproc.operations import Asked
from extproc.policy import requests
from extproc.policy.api import Action, Outcome, Phase, Policy, Tally
from extproc.policy.attach import Armed, Traits
from extproc.policy.request import Request
from extproc.policy.vault import Vault
from extproc.providers import azure_headers

_MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+-]{0,199}", re.ASCII)
"""A model's name reaches logs, metadata and other bodies: it is a name, not a text."""


def asked(headers: Headers) -> Asked:
    """The operation that a request's line and headers name.

    Raises:
        Refused: there is no such operation, or it is asked for in a way that is not served.
    """
    method = headers.get(":method", "")
    if method not in operations.METHODS or "upgrade" in headers:
        raise Refused(405, "method_not_allowed", "This method is not supported; upgrades (WebSocket) are not either.")
    found = operations.find(method, headers.get(":path", ""), operations.hint(headers))
    if found is None:
        raise Refused(404, "unknown_operation", "There is no such operation here.")
    given = headers.get("authorization", "")
    if "," in given and not given.startswith("AWS4-"):  # those have commas, and are read as one or not at all
        raise Refused(400, "bad_credentials", "There is more than one Authorization header.")
    return found


def read(headers: Headers, body: bytes, limit: int, format_: Format) -> Body:
    """A body of at most ``limit`` bytes.

    Raises:
        Refused: it is not what this API can take.
    """
    raw = _decoded(headers, body, limit)
    content_type = headers.get("content-type", "")
    try:
        if bodies.is_form(content_type) and bodies.takes_forms(format_):
            return bodies.of_form(format_, content_type, raw)
        value = parse(raw)
    except DecodeError as error:
        raise Refused(400, "invalid_json", f"The body cannot be read: {error}.") from None
    except LimitExceeded as error:
        raise Refused(413, "too_large", f"The body cannot be read: {error}.") from None
    if not isinstance(value, dict):
        raise Refused(400, "invalid_json", "The body must be a JSON object.")
    if len({name.lower() for name in value}) != len(value):  # some servers do not tell them apart
        raise Refused(400, "invalid_json", "The body has members whose names differ only in case.")
    return Body(raw, value)


def _decoded(headers: Headers, body: bytes, limit: int) -> bytes:
    try:
        return compression.decode(body, compression.coding(headers.get("content-encoding", "")), limit)
    except LimitExceeded:
        raise Refused(413, "too_large", f"The request is larger than {limit} bytes.") from None
    except DecodeError as error:
        raise Refused(400, "invalid_encoding", f"The body cannot be decoded: {error}.") from None


def by_header(headers: Headers, resources: Mapping[str, str], model: str | None) -> str | None:
    """The model a request names, at the Azure resource and as the deployment that its headers name, if they do."""
    found = azure_headers.chosen(headers, resources) if resources else None
    return f"{found.provider}/{found.deployment or model}" if found and (found.deployment or model) else model


def check_model(model: str | None, known: Collection[str]) -> str:
    """A model's name, if it is one.

    Raises:
        Refused: it is none.
    """
    if not model or not (_MODEL.fullmatch(model) or model in known):
        raise Refused(400, "invalid_model", "The request must name a model, in letters, digits and . _ : / + - only.")
    return model


@dataclass(slots=True, repr=False)
class Decided:
    """What became of a request.

    ``sent`` is its JSON text as it goes on (``raw`` itself where nothing changed) and ``body`` its value, ``model`` the
    name it goes on under. ``policy`` blocked or replied, with ``why`` and ``reply``. ``answer`` are policies for the
    answer alone. ``texts`` are what services are to judge; ``unscanned`` the
    kinds of content that no text rule can read.
    """

    raw: bytes
    sent: bytes
    body: dict[str, Any]
    model: str
    outcome: Outcome = Outcome.ALLOW
    policy: Policy | None = None
    why: str = ""
    param: str = ""
    reply: str = ""
    answer: tuple[Policy, ...] = ()
    vault: Vault | None = None
    texts: list[Said] = field(default_factory=list)
    unscanned: list[str] = field(default_factory=list)


def decide(format_: Format, armed: Armed, traits: Traits, raw: bytes, body: dict[str, Any], tally: Tally) -> Decided:
    """Judge and redact a request.

    Raises:
        Refused: it cannot be inspected.
    """
    done = Decided(raw, raw, body, traits.model)
    if armed.requests:
        request = Request(
            traits.operation,
            traits.model,
            body,
            headers=traits.headers,
            address=traits.address,
            texts=format_.request_spans,
            format=format_.name,
            now=time.time(),
        )
        try:
            _take(done, requests.judge(armed.requests, request, tally))
        except LimitExceeded as error:
            raise Refused(413, "too_many_values", f"The request cannot be judged: {error}.") from None
    if done.outcome not in (Outcome.BLOCK, Outcome.REPLY):
        _redact(done, format_, armed, tally)
    done.unscanned = format_.unscanned(done.body)
    return done


def _take(done: Decided, judged: requests.RequestDecision) -> None:
    done.outcome, done.policy, done.why, done.param = judged.outcome, judged.policy, judged.why, judged.param
    done.reply, done.answer = judged.reply, judged.answer
    if judged.edits:
        done.sent = judged.apply(done.raw)
        done.body = parse(done.sent)
    done.model = judged.model


def _redact(done: Decided, format_: Format, armed: Armed, tally: Tally) -> None:
    vault = Vault(done.sent.decode()) if armed.restores else None
    try:
        decision, sent = whole.inspect(format_, armed.chain, Phase.REQUEST, done.sent, done.body, tally, vault)
    except LimitExceeded as error:
        raise Refused(413, "too_many_texts", f"The request cannot be inspected: {error}.") from None
    if decision.outcome in (Outcome.BLOCK, Outcome.REPLY):
        done.outcome, done.policy = decision.outcome, decision.policy
        done.reply = decision.policy.reply if decision.policy else ""
        return
    if vault and (restore := vault.policy()):
        done.vault, done.answer = vault, (*done.answer, restore)
    if sent is not done.sent:
        done.sent = sent
        if armed.moderated:
            done.body = parse(sent)
    if armed.moderated:
        done.texts = [(span.scope, span.text) for span in format_.request_spans(done.body)]


def redact(format_: Format, decided: Decided, news: Iterable[tuple[Question, Found]]) -> None:
    """Redact what services have found in a request: all of it at once, since each was asked about the same texts.

    Raises:
        Refused: what is left of a tool's arguments is no JSON, or what is found is the name of a member.
    """
    spans = [each for each in format_.request_spans(decided.body) if each.text.strip()]
    marks: dict[Path, list[tuple[int, int, str]]] = {}
    for question, found in news:
        policy = question.policy
        if policy.enforced and policy.action is Action.REDACT:
            asked = [each for each in spans if each.scope in policy.scopes]
            for span, found_here in zip(asked, found.spans, strict=False):
                if span.fixed and found_here:
                    raise Refused(400, "undecided", "The name of a member cannot be redacted.")
                marks.setdefault(span.path, []).extend(found_here)
    values: dict[Path, bytes] = {}
    for span in spans:
        if not span.fixed and (places := marks.get(span.path)):
            text = _marked(span.text, places)
            if span.json and not _readable(text):
                raise Refused(400, "undecided", "What is left of a tool's arguments would be no JSON.")
            values[span.path] = dump(text)
    decided.sent = replace(decided.sent, values)
    decided.body = parse(decided.sent)


def _marked(text: str, marks: Iterable[tuple[int, int, str]]) -> str:
    """A text with the marked parts replaced; those that overlap as one, by the replacement of the first."""
    parts: list[str] = []
    at = 0
    for start, end, replacement in sorted(marks, key=lambda mark: (mark[0], -mark[1])):
        end = min(end, len(text))
        if start >= at and start < end:
            parts += (text[at:start], replacement)
        at = max(at, end)
    return "".join([*parts, text[at:]])


def _readable(text: str) -> bool:
    try:
        parse(text.encode())
    except DecodeError:
        return False
    return True
