"""How a request gets to a backend: in which format, under which name and path, and with what body.

The router filter asks which backends of a group can serve, and says everything itself where there is one; the upstream
filter carries it out for the backend that Envoy has chosen. Both start from the redacted body in the client's format.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from extproc.chat.codec import Codec
from extproc.chat.losses import Losses, spell
from extproc.errors import DecodeError, Refused, Unrepresentable
from extproc.events import Pairs
from extproc.exchange.headers import AGENT
from extproc.exchange.needs import WISHES, hinted, needs
from extproc.formats import unsigned
from extproc.formats.openai_chat.codec import OpenAIChatCodec
from extproc.formats.openai_chat.encode import Dialect
from extproc.formats.registry import CHAT, FORMATS
from extproc.framing.jsontext import dump, edit, parse, set_member
from extproc.groups import Backend, Group
from extproc.operations import SHAPES, Operation
from extproc.providers.api import Call, Kind
from extproc.providers.known import EXTENDED

_EXTENDED: Final = OpenAIChatCodec(Dialect(extensions=True))


@dataclass(slots=True)  # not frozen: see ``events``
class Wanted:
    """What a client asks for, as far as it matters to where it goes. Nobody changes one.

    ``model`` is the public name; ``named``: bodies of this format name it. ``listed``: a stream is wanted as one array.
    ``betas``: what the client's ``anthropic-beta`` header lists. ``sealed``: what that function says.
    ``path`` or ``target``: of an operation that only the configuration knows, see ``operations.Passage``.
    """

    operation: str
    format: str
    model: str
    stream: bool
    named: bool = True
    listed: bool = False
    betas: tuple[str, ...] = ()
    sealed: bool = False
    path: str = ""
    target: str = ""

    def told(self) -> dict[str, Any]:
        """As dynamic metadata, for the upstream filter. What is as usual is not said: each member takes its time to read."""
        told: dict[str, Any] = {"operation": self.operation, "format": self.format, "model": self.model}
        if self.stream:
            told["stream"] = True
        if not self.named:
            told["named"] = False
        if self.betas:
            told["betas"] = ",".join(self.betas)
        if self.sealed:
            told["sealed"] = True
        if self.path:
            told |= {"path": self.path, "target": self.target}
        return told

    @classmethod
    def heard(cls, told: Mapping[str, Any]) -> Wanted:
        """From dynamic metadata."""
        return cls(
            str(told.get("operation", "")),
            str(told.get("format", "")),
            str(told.get("model", "")),
            told.get("stream") is True,
            told.get("named") is not False,
            betas=betas(str(told["betas"])) if "betas" in told else (),
            sealed=told.get("sealed") is True,
            path=str(told.get("path", "")),
            target=str(told.get("target", "")),
        )


def betas(header: str) -> tuple[str, ...]:
    """What an ``anthropic-beta`` header lists."""
    return tuple([each.strip() for each in header.split(",") if each.strip()])


@dataclass(frozen=True, slots=True)
class Plan:
    """One attempt. ``target`` is the path and query; ``converts``: it goes in another format than it came in.

    ``changes``: the body has to be changed, beyond the name of the model. ``says``: headers of every such attempt.
    """

    backend: Backend
    call: Call
    target: str
    converts: bool
    changes: bool
    says: Pairs


_PLANS: Final = 64
_BETAS: Final = 256
"""Plans that a backend remembers, and letters of the ``betas`` that one may be for: clients choose models and betas."""

_NEW: Final[Any] = object()


def plan(backend: Backend, wanted: Wanted) -> Plan | None:
    """How a backend can serve this; None where it cannot."""
    if wanted.path:  # clients choose what it ends in
        return _planned(backend, wanted)
    known: dict[Any, Plan | None] = backend.plans
    key = (wanted.operation, wanted.format, wanted.model, wanted.stream, wanted.betas)
    found: Plan | None = known.get(key, _NEW)  # at once: large requests are planned in a thread
    if found is not _NEW:
        return found
    found = _planned(backend, wanted)
    if sum(map(len, wanted.betas)) <= _BETAS:
        if len(known) >= _PLANS:
            known.clear()
        known[key] = found
    return found


def _planned(backend: Backend, wanted: Wanted) -> Plan | None:
    kind, model = backend.kind, backend.upstream_model(wanted.model)
    for name in _formats(backend, wanted):
        call = Call(name, wanted.operation, model, wanted.stream, wanted.path, wanted.betas)
        target = wanted.target or kind.target(backend.base, call)
        if target is not None:
            converts = name != wanted.format
            return Plan(
                backend, call, target, converts, converts or kind.adjusts(call), _says(backend, target, converts)
            )
    return None


def _says(backend: Backend, target: str, converts: bool) -> Pairs:
    said = ((":path", target), (":authority", backend.authority))
    # what the client accepts says nothing of the format its request is converted to
    return (*said, *((("accept", "*/*"),) if converts else ()), AGENT)  # an attempt before may have been another agent


def _formats(backend: Backend, wanted: Wanted) -> list[str]:
    """Formats in which it could go, the best first: its own, then those it can be converted to."""
    if wanted.path:
        return [wanted.format]
    spoken = backend.kind.speaks(backend.upstream_model(wanted.model))
    found = [wanted.format] if wanted.format in spoken else []
    if wanted.operation == Operation.CHAT and FORMATS[wanted.format].codec:
        found += [name for name in spoken if name != wanted.format and name in FORMATS and FORMATS[name].codec]
    return found


def prepare(plan: Plan, wanted: Wanted, raw: bytes, value: dict[str, Any] | None, losses: Losses) -> bytes:
    """The body of an attempt; ``raw`` itself where nothing changes. ``value`` is its value, where that is known.

    Raises:
        Unrepresentable, DecodeError: it cannot be said in the backend's format.
    """
    kind, call = plan.backend.kind, plan.call
    if not plan.converts:
        if wanted.named and call.model != wanted.model:
            raw = set_member(raw, "model", dump(call.model))
        raw = unsigned.without(call.format, call.model, raw, losses)
        return _adjusted(kind, raw, call, losses) if kind.adjusts(call) else raw
    reader, writer = FORMATS[wanted.format].codec, _writer(kind, call)
    if reader is None or writer is None:
        raise DecodeError("there is no way to convert it")
    request = reader.decode_request(
        parse(raw) if value is None else value, losses, model=call.model, stream=wanted.stream
    )
    request.model = call.model
    request.usage = True  # for the meter; the client is told what it asked for
    return dump(kind.adjust(writer.encode_request(request, losses), call, losses))


def _writer(kind: Kind, call: Call) -> Codec | None:
    if call.format == CHAT and kind.name in EXTENDED:
        return _EXTENDED
    return FORMATS[call.format].codec


def sealed(format_: str, raw: bytes) -> bool:
    """Whether a body may have reasoning that not every provider takes back; see ``formats.unsigned``."""
    return unsigned.suspected(format_, raw)


def _adjusted(kind: Kind, raw: bytes, call: Call, losses: Losses) -> bytes:
    value = parse(raw)
    adjusted = kind.adjust(value, call, losses)
    return raw if adjusted is value else dump(adjusted)


def choose(group: Group, wanted: Wanted, raw: bytes, value: dict[str, Any]) -> list[Plan]:
    """How the backends that can serve this do, in their order.

    Raises:
        Refused: none can; it says what stands in the way.
    """
    found: list[Plan] = []
    why: Refused | None = None
    able = Abilities(wanted, raw, value)
    tried: dict[str, Refused | None] = {}  # by format: it is the same for all that speak it
    for backend in group.backends:
        how = plan(backend, wanted)
        if how is None:
            continue
        if how.converts and how.call.format not in tried:
            tried[how.call.format] = _tried(how, wanted, raw, value)
        problem = tried.get(how.call.format) if how.converts else None
        if problem is None and (missing := able.missing(how)):
            problem = unable(missing)
        why = why or problem
        if problem is None:
            found.append(how)
    if not found:
        raise why or unsupported(group, wanted)
    return able.best(found)


class Abilities:
    """What models need for a request, found out once, when one is met that lacks something."""

    def __init__(self, wanted: Wanted, raw: bytes, value: dict[str, Any]) -> None:
        self._wanted, self._raw, self._value = wanted, raw, value
        self._hinted: frozenset[str] | None = None
        self._needs: frozenset[str] | None = frozenset() if wanted.operation != Operation.CHAT else None

    def missing(self, how: Plan) -> frozenset[str]:
        """What this backend cannot do that has to be done.

        Raises:
            Refused: the request has too much in it to tell.
        """
        return self._lacks(how) - WISHES

    def best(self, plans: list[Plan]) -> list[Plan]:
        """Those that also meet the wishes; all where none does."""
        return [how for how in plans if not self._lacks(how)] or plans

    def _lacks(self, how: Plan) -> frozenset[str]:
        lacks = how.backend.lacks(how.call.model)
        if not lacks:
            return lacks
        if self._hinted is None:
            self._hinted = hinted(self._raw)
        if self._needs is None and lacks & self._hinted:
            self._needs = needs(FORMATS[self._wanted.format], self._wanted.model, self._value)
        return lacks & self._needs if self._needs else frozenset()


def unsupported(group: Group, wanted: Wanted) -> Refused:
    """What a client is told of an operation that no provider of its model has; the name was checked to be one."""
    able = {
        operation
        for operation, format_ in SHAPES
        for backend in group.backends
        if plan(backend, replace(wanted, operation=operation, format=format_, stream=False))
    }
    can = f"it can do: {', '.join(sorted(able))}" if able else "it can do nothing that the gateway knows"
    message = f"No provider of the model '{wanted.model}' can do this ({wanted.operation}, {wanted.format}); {can}."
    return Refused(400, "unsupported_operation", message)


def unable(missing: Iterable[str]) -> Refused:
    """What a client is told of what no model of the group takes."""
    return Refused(422, "unable", f"The model cannot take or do what this request needs: {', '.join(sorted(missing))}.")


def _tried(how: Plan, wanted: Wanted, raw: bytes, value: dict[str, Any]) -> Refused | None:
    """Why a request cannot be converted; None where it can."""
    try:
        prepare(how, wanted, raw, value, Losses())
    except Unrepresentable as error:
        return unrepresentable(error)
    except DecodeError as error:
        return Refused(400, "invalid_request", f"The request cannot be read: {error}.")
    return None


def unrepresentable(error: Unrepresentable) -> Refused:
    """What a client is told of what cannot be converted."""
    where = f"{spell(error.path)}: " if error.path else ""
    return Refused(422, "unrepresentable", f"The provider of this model cannot take this request: {where}{error.what}.")


def ready(how: Plan, wanted: Wanted, raw: bytes, value: dict[str, Any] | None, losses: Losses) -> bytes:
    """``prepare`` for the only backend.

    Raises:
        Refused: it cannot be said in the backend's format.
    """
    try:
        return prepare(how, wanted, raw, value, losses)
    except Unrepresentable as error:
        raise unrepresentable(error) from None
    except DecodeError as error:
        raise Refused(400, "invalid_request", f"The request cannot be read: {error}.") from None


_USAGE: Final = ("stream_options", "include_usage")
_OPTIONAL: Final = frozenset({"openai-chat", "openai-completions"})
"""Formats in which a stream tells its usage only if it is asked to."""


def wants_usage(wanted: Wanted, value: dict[str, Any]) -> bool:
    """Whether the client wants to know a stream's usage."""
    options = value.get("stream_options")
    return wanted.format not in _OPTIONAL or (isinstance(options, dict) and options.get("include_usage") is True)


def with_usage(group: Group, wanted: Wanted, raw: bytes, value: dict[str, Any]) -> bytes | None:
    """The body with a stream's usage asked for; None where the client has asked, or the providers do not need or know it."""
    if not wanted.stream or wants_usage(wanted, value):
        return None
    options = value.get("stream_options")
    if options is not None and not isinstance(options, dict):
        return None
    if not all(each.kind.stream_usage for each in group.backends if wanted.format in each.kind.formats):
        return None
    return edit(raw, {_USAGE: True})
