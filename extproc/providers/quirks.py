"""How servers that speak OpenAI's chat format differ from OpenAI: data, and the few lines that apply it.

Only what a provider is documented or known to refuse is changed; what it would merely ignore is left to it. A setting that
is left out is a loss. Sources, beside each provider's entry: its own API reference.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from extproc.chat.losses import Losses
from extproc.providers.api import Body

_SHORT_ID: Final = re.compile(r"[A-Za-z0-9]{9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Quirks:
    """What to change in a body.

    Args:
        renamed: members that have another name here.
        dropped: members that are refused here.
        implied: members that are refused and ask for what is done anyway: no loss.
        roles: roles of messages that have another name here.
        names: whether ``messages[].name`` is accepted.
        short_ids: ids of tool calls must be nine letters or digits.
        strict_tools: function tools must be ``strict``, and calls come one at a time unless the client says otherwise.
        system_member: a ``system`` beside the messages becomes the first of them.
    """

    renamed: Mapping[str, str] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()
    implied: frozenset[str] = frozenset()
    roles: Mapping[str, str] = field(default_factory=dict)
    names: bool = True
    short_ids: bool = False
    strict_tools: bool = False
    system_member: bool = False

    def applied(self, body: Body, losses: Losses) -> Body:
        """A body with these changes; the same object where there are none to make."""
        changed = {self._renamed(name, body): value for name, value in body.items() if self._keeps(name, body, losses)}
        if self.system_member:
            _move_system(changed)
        if isinstance(messages := changed.get("messages"), list):
            changed["messages"] = [self._message(at, each, losses) for at, each in enumerate(messages)]
        if self.strict_tools and changed.get("tools") and isinstance(changed["tools"], list):
            changed["tools"] = [_strict(each) for each in changed["tools"]]
            changed.setdefault("parallel_tool_calls", False)
        return body if changed == body else changed

    def _renamed(self, name: str, body: Body) -> str:
        return name if (new := self.renamed.get(name, name)) in body else new

    def _keeps(self, name: str, body: Body, losses: Losses) -> bool:
        if name in self.implied:
            return False
        twice = self.renamed.get(name) in body
        if name in self.dropped or twice:
            losses.add((name,), "not taken by this provider")
            return False
        return True

    def _message(self, at: int, message: Any, losses: Losses) -> Any:
        if not isinstance(message, dict):
            return message
        changes: Body = {}
        role = message.get("role")
        if isinstance(role, str) and role in self.roles:
            changes["role"] = self.roles[role]
        if self.short_ids:
            changes |= _shortened(message)
        if not self.names and role != "tool" and "name" in message:
            losses.add(("messages", at, "name"), "not taken by this provider")
            return {name: value for name, value in (message | changes).items() if name != "name"}
        return message | changes if changes else message


def _move_system(body: Body) -> None:
    system = body.pop("system", None)
    messages = body.get("messages")
    messages = messages if isinstance(messages, list) else []
    if system and not any(isinstance(each, dict) and each.get("role") == "system" for each in messages):
        body["messages"] = [{"role": "system", "content": system}, *messages]


def _strict(tool: Any) -> Any:
    function = tool.get("function") if isinstance(tool, dict) and tool.get("type") == "function" else None
    return {**tool, "function": {**function, "strict": True}} if isinstance(function, dict) else tool


def _shortened(message: Body) -> Body:
    changes: Body = {}
    if isinstance(message.get("tool_calls"), list):
        changes["tool_calls"] = list(_calls(message["tool_calls"]))
    if isinstance(message.get("tool_call_id"), str):
        changes["tool_call_id"] = _short(message["tool_call_id"])
    return changes


def _calls(calls: list[Any]) -> Iterator[Any]:
    for each in calls:
        named = isinstance(each, dict) and isinstance(each.get("id"), str)
        yield {**each, "id": _short(each["id"])} if named else each


def _short(id_: str) -> str:
    """A result finds its call again because the same id always becomes the same."""
    return id_ if _SHORT_ID.fullmatch(id_) else hashlib.sha256(id_.encode()).hexdigest()[:9]


NONE: Final = Quirks()

_MAX_TOKENS: Final = {"max_completion_tokens": "max_tokens"}
_SYSTEM: Final = {"developer": "system"}

QUIRKS: Final[dict[str, Quirks]] = {
    # docs.mistral.ai, API reference of /v1/chat/completions: unknown members are errors; usage is always streamed
    "mistral": Quirks(
        renamed=_MAX_TOKENS | {"seed": "random_seed"},
        dropped=frozenset({
            "logit_bias", "logprobs", "top_logprobs", "user", "store", "service_tier", "verbosity", "safety_identifier",
            "prompt_cache_key", "prompt_cache_retention", "modalities", "audio", "web_search_options",
        }),
        implied=frozenset({"stream_options"}),
        roles=_SYSTEM,
        names=False,
        short_ids=True,
    ),
    # console.groq.com/docs/openai, "currently unsupported": these give a 400
    "groq": Quirks(dropped=frozenset({"logit_bias", "logprobs", "top_logprobs"}), names=False),
    # inference-docs.cerebras.ai, OpenAI compatibility: these give a 400
    "cerebras": Quirks(
        dropped=frozenset({"frequency_penalty", "presence_penalty", "logit_bias"}),
        strict_tools=True,
        system_member=True,
    ),
    # api-docs.deepseek.com: roles are system, user, assistant and tool; the limit is called max_tokens
    "deepseek": Quirks(renamed=_MAX_TOKENS, roles=_SYSTEM),
    # docs.ollama.com, OpenAI compatibility: lists max_tokens only, and would ignore the other: no limit at all
    "ollama": Quirks(renamed=_MAX_TOKENS),
}  # fmt: skip
"""By type of provider; none for those that take what OpenAI takes."""
