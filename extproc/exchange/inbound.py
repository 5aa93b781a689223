"""The request's body: read, judged, redacted. What comes out is what goes on, or why it does not.

Order: the rules that judge a request as a whole see it first, as the client sent it; the text rules see what those left;
services see what the text rules left, so that nothing reaches a service that must not leave the house.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from extproc import operations
from extproc.chat.losses import Losses
from extproc.chat.request import Request as Chat
from extproc.errors import DecodeError, LimitExceeded, Refused
from extproc.events import Headers
from extproc.exchange import bodies, whole
from extproc.exchange.bodies import Body
from extproc.exchange.judging import Found, Question, Said
from extproc.exchange.marking import marked, readable
from extproc.formats.base import Format
from extproc.formats.generic import GENERIC
from extproc.formats.signed import Signatures
from extproc.framing import compression
from extproc.framing.jsontext import Path, dump, parse, replace
from extproc.named import NamedOperations
from extproc.operations import Asked
from extproc.policy import requests
from extproc.policy.api import Action, Outcome, Phase, Tally
from extproc.policy.attach import Armed, Traits
from extproc.policy.request import Request
from extproc.policy.vault import Vault
from extproc.providers import azure_headers
from extproc.runtime import Runtime

_MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+-]{0,199}", re.ASCII)
"""A model's name reaches logs, metadata and other bodies: it is a name, not a text."""
NONE: Final = NamedOperations()


def asked(headers: Headers, named: NamedOperations = NONE) -> Asked:
    """The operation that a request's line and headers name; ``named``: those of the configuration.

    Raises:
        Refused: there is no such operation, or it is asked for in a way that is not served.
    """
    method = headers.get(":method", "")
    if method not in operations.METHODS or "upgrade" in headers:
        raise Refused(405, "method_not_allowed", "This method is not supported; upgrades (WebSocket) are not either.")
    target = headers.get(":path", "")
    found = operations.find(method, target, operations.hint(headers)) or named.find(method, target)
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
    content_type = headers.get("content-type", "")
    if bodies.is_opaque(format_):
        return bodies.unread(body, content_type, headers.get("content-encoding", ""))
    raw = _decoded(headers, body, limit)
    if not raw and format_.name == GENERIC:
        return bodies.unread(raw)
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


def model(asked: Asked | None, format_: Format, headers: Headers, body: dict[str, Any], runtime: Runtime) -> str:
    """The model a request is for; empty where its provider is known without.

    Raises:
        Refused: it names none that is one.
    """
    named = (asked.model if asked else None) or format_.model(body)
    if asked and asked.passage and asked.passage.group:
        return "" if named is None else check_model(named, ())
    return check_model(by_header(headers, runtime.resources, named), runtime.models())


def check_model(model: str | None, known: Collection[str]) -> str:
    """A model's name, if it is one.

    Raises:
        Refused: it is none.
    """
    if not model or not (_MODEL.fullmatch(model) or model in known):
        raise Refused(400, "invalid_model", "The request must name a model, in letters, digits and . _ : / + - only.")
    return model


@dataclass(slots=True, repr=False)
class Decided(requests.Conclusion):
    """What all policies came to.

    ``sent`` is the request's JSON text as it goes on (``raw`` itself where nothing changed) and ``body`` its value,
    ``model`` the name it goes on under. ``texts`` are what services are to judge; ``unscanned`` the kinds of content that
    no text rule can read.
    """

    raw: bytes
    sent: bytes
    body: dict[str, Any]
    model: str
    vault: Vault | None = None
    texts: list[Said] = field(default_factory=list)
    unscanned: list[str] = field(default_factory=list)


def decide(
    format_: Format,
    armed: Armed,
    traits: Traits,
    raw: bytes,
    body: dict[str, Any],
    tally: Tally,
    *,
    stream: bool | None = None,
) -> Decided:
    """Judge and redact a request. ``stream``: whether one is asked for, where the body does not say it.

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
            reads=_reader(format_, traits.model, stream=format_.streamed(body) if stream is None else stream),
        )
        try:
            _take(done, requests.judge(armed.requests, request, tally))
        except LimitExceeded as error:
            raise Refused(413, "too_many_values", f"The request cannot be judged: {error}.") from None
    if not done.stops:
        _redact(done, format_, armed, tally)
    done.unscanned = format_.unscanned(done.body)
    return done


def _reader(format_: Format, model: str, *, stream: bool) -> Callable[[dict[str, Any]], Chat] | None:
    codec = format_.codec
    if codec is None:
        return None
    return lambda body: codec.decode_request(body, Losses(), model=model, stream=stream)


def _take(done: Decided, judged: requests.RequestDecision) -> None:
    for name in (each.name for each in fields(requests.Conclusion)):
        setattr(done, name, getattr(judged, name))
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
                    raise Refused(
                        400, "undecided", "The name of a member, or what stands in the path, cannot be redacted."
                    )
                marks.setdefault(span.path, []).extend(found_here)
    values: dict[Path, bytes] = {}
    for span in spans:
        if not span.fixed and (places := marks.get(span.path)):
            text = marked(span.text, places)
            if span.json and not readable(text):
                raise Refused(400, "undecided", "What is left of a tool's arguments would be no JSON.")
            values[span.path] = dump(span.put(text))
    values |= Signatures(format_).blanked(decided.body, values)
    decided.sent = replace(decided.sent, values)
    decided.body = parse(decided.sent)
