"""What a policy that judges a request as a whole sees, and what it says.

Such a policy has a ``RequestRule`` instead of text rules. It is pure: what it wants changed it says as edits, which
``extproc.policy.requests`` applies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from extproc.chat.losses import spell
from extproc.errors import DecodeError, Refused, Unrepresentable
from extproc.framing.jsonedit import Edits
from extproc.policy.fields import Member, members

if TYPE_CHECKING:
    from extproc.chat.request import Request as Chat
    from extproc.formats.base import Span
    from extproc.policy.rules import Rule


def _no_spans(body: dict[str, Any]) -> Sequence[Span]:
    return ()


@dataclass(slots=True, repr=False)
class Request:
    """A request, parsed. Rules never change it.

    Args:
        operation: a value of ``operations.Operation``.
        model: the name the client asked for, wherever it stood.
        body: the JSON object; empty where there is none.
        headers: by lower-case name.
        address: the client's IP address; empty if unknown.
        texts: finds every text of a body (``Format.request_spans``).
        format: ``Format.name`` of the API the client speaks. Decides where a missing field is added, so it must not be
            guessed from the body.
        now: Unix time in seconds.
        reads: makes the canonical form of a body; None where its format has none.
        override: what a header has chosen for the policy that looks at it; see ``Policy.override``.
    """

    operation: str
    model: str
    body: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    address: str = ""
    texts: Callable[[dict[str, Any]], Sequence[Span]] = _no_spans
    format: str = "openai-chat"
    now: float = 0.0
    reads: Callable[[dict[str, Any]], Chat] | None = None
    override: str = ""
    _spans: Sequence[Span] | None = field(default=None, init=False, repr=False)
    _members: list[Member] | None = field(default=None, init=False, repr=False)
    _chat: Chat | None = field(default=None, init=False, repr=False)

    @property
    def spans(self) -> Sequence[Span]:
        """Every text of the body; found when first asked for.

        Raises:
            LimitExceeded: there are too many.
        """
        if self._spans is None:
            self._spans = self.texts(self.body)
        return self._spans

    @property
    def members(self) -> list[Member]:
        """Every setting of the body; found when first asked for.

        Raises:
            LimitExceeded: there are too many.
        """
        if self._members is None:
            self._members = members(self.body)
        return self._members

    @property
    def chat(self) -> Chat | None:
        """It in the canonical form; made when first asked for. None for operations other than chat.

        Raises:
            Refused: it is no request of its format, or says what the canonical form cannot. Let that pass: the client is
                told.
        """
        if self._chat is None and self.reads is not None:
            try:
                self._chat = self.reads(self.body)
            except Unrepresentable as error:
                where = f"{spell(error.path)}: " if error.path else ""
                raise Refused(422, "unrepresentable", f"The request cannot be judged: {where}{error.what}.") from None
            except DecodeError as error:
                raise Refused(400, "invalid_request", f"The request cannot be read: {error}.") from None
        return self._chat

    def changed(self, body: dict[str, Any], model: str) -> Request:
        """The same request with another body and model."""
        return replace(self, body=body, model=model)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule says about a request.

    With ``reply`` the request is answered so; with ``edits``, ``model``, ``headers`` or ``rules`` it goes on, changed; else
    it is refused.

    Args:
        label: what was found, one of a small fixed set a kind; goes to logs and metrics.
        why: one sentence for the client. May name limits and numbers of the configuration, never the request's text.
        edits: see ``jsonedit.Edits``.
        reply: the answer in the model's place.
        model: the name under which the request goes on.
        headers: to be set towards the provider, by lower-case name.
        rules: rules for the answer of this exchange only.
        param: the field that is at fault, as error bodies of OpenAI name it.
    """

    label: str
    why: str = ""
    edits: Edits = field(default_factory=dict)
    reply: str = ""
    model: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    param: str = ""

    @property
    def refuses(self) -> bool:
        """Whether the request does not go on and gets no answer."""
        return not (self.edits or self.reply or self.model or self.headers or self.rules)


class RequestRule(Protocol):
    """Judges requests. Pure; raising counts as the policy's ``on_error``, but for ``LimitExceeded``, which ends them all."""

    def judge(self, request: Request) -> Verdict | None:
        """The verdict, or None where there is nothing to say."""
        ...
