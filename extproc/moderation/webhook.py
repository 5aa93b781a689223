"""A guardrail of one's own behind LiteLLM's generic guardrail API.

Source: LiteLLM documentation, "Generic Guardrail API" (docs.litellm.ai/docs/adding_provider/generic_guardrail_api): ``POST
/beta/litellm_basic_guardrail_api`` with ``texts``, ``input_type``, ``structured_messages``, ``request_data`` and others; the
answer has an ``action`` (BLOCKED, NONE, GUARDRAIL_INTERVENED), ``blocked_reason`` and, changed, ``texts``. The key goes into
``x-api-key``. The reason is not used: it may quote.

What a guardrail changed in a text becomes one mark from the first to the last difference, with the words it wants there.
A block is about a call as a whole, so it is found in each of its texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from extproc.moderation.api import About, Finding, Mark, Moderation, ModerationError, Text
from extproc.moderation.chunks import Limits
from extproc.moderation.http import Answer, Http, endpoint, read, secret
from extproc.policy.api import Phase

PATH = "/beta/litellm_basic_guardrail_api"
BLOCKED = "blocked"
INTERVENED = "intervened"


class _Decision(Answer):
    action: Literal["BLOCKED", "NONE", "GUARDRAIL_INTERVENED"]
    texts: list[str] | None = None


class Webhook:
    """Makes single calls. Texts are never cut: what a guardrail makes of one cannot be put together from parts."""

    limits = Limits(texts=1_000, characters=500_000, total=500_000, calls=8, cut=False)

    def __init__(self, moderation: Moderation) -> None:
        self._http = Http(moderation.ca, secret("x-api-key", moderation.keys))
        self._url = endpoint(moderation.url, PATH)

    async def ask(self, texts: Sequence[Text], about: About) -> list[Finding]:
        """See ``client.Service``."""
        decision = read(_Decision, await self._http.post(self._url, _question(texts, about)))
        if decision.action == "BLOCKED":
            return [Finding(True, {BLOCKED: 1.0}, (BLOCKED,))] * len(texts)
        if decision.action == "NONE":
            return [Finding()] * len(texts)
        if decision.texts is None or len(decision.texts) != len(texts):
            raise ModerationError("the service does not say what it has changed")
        return [_changed(before.text, after) for before, after in zip(texts, decision.texts, strict=True)]

    async def aclose(self) -> None:
        """See ``client.Service``."""
        await self._http.aclose()


def _question(texts: Sequence[Text], about: About) -> dict[str, Any]:
    value: dict[str, Any] = {
        "texts": [each.text for each in texts],
        "input_type": about.phase.value,
        "request_data": {},
        "additional_provider_specific_params": {},
    }
    if about.request_id:
        value["litellm_call_id"] = about.request_id
    if about.phase is Phase.REQUEST:
        value["structured_messages"] = [{"role": each.role, "content": each.text} for each in texts]
    return value


def _changed(before: str, after: str) -> Finding:
    if before == after:
        return Finding()
    start = min(_alike(before, after), len(before) - 1)  # a mark has a character even where words were only added
    rest = min(_alike(before[:start:-1], after[::-1]), len(after) - start)
    mark = Mark(start, len(before) - rest, INTERVENED, 1.0, after[start : len(after) - rest])
    return Finding(True, {INTERVENED: 1.0}, (INTERVENED,), (mark,))


def _alike(one: str, other: str) -> int:
    """How many characters two texts begin with in common."""
    return next(
        (at for at, (left, right) in enumerate(zip(one, other, strict=False)) if left != right),
        min(len(one), len(other)),
    )
