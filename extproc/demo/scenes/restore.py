"""Reversible redaction: an address goes to the model as a placeholder, and comes back in a streamed tool argument."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from extproc.demo.provider import STREAM, Provider, Reply, Request, chat_events, cut, deltas
from extproc.demo.stage import NotSo, Stage, chat

_ADDRESS: Final = "anna.keller@example.org"
_ASKED: Final = f"Tell {_ADDRESS} that we meet at ten."
_PLACEHOLDER: Final = re.compile(r"\[email_\d+\]")
_TOOL: Final = {
    "type": "function",
    "function": {"name": "send_mail", "parameters": {"type": "object", "properties": {"to": {"type": "string"}}}},
}
_WIDTH: Final = 4

_CONFIG: Final = """
providers:
  model: {{type: openai-compatible, base_url: "{url}/v1", keys: none}}
policies:
  addresses: {{kind: pii, find: [email], action: redact, restore: true}}
"""


async def play(stage: Stage) -> None:
    """See the module."""
    model = Provider(_reply, pace=0.005)
    stage.tell("An assistant is to write a mail. The model has to know that there is an address, not which one.")
    async with stage.provider(model) as url:
        config = _CONFIG.format(url=url)
        stage.show("The configuration:", config)
        async with stage.gateway(config) as (_, port):
            events: list[bytes] = []
            answer = await stage.ask(port, chat("any", _ASKED, tools=[_TOOL]), told=events.append)
    if not (model.requests and answer.status == 200):
        raise NotSo("the model was not asked, or has not answered")
    seen = model.requests[0]
    prompt = seen.body["messages"][0]["content"]
    given = "".join(map(_arguments, deltas(answer.body)))
    stage.show("The client sent:", _ASKED)
    stage.show("The model saw:", prompt)
    stage.show("The model called its tool with (events between the bars):", "|".join(cut(_call(prompt), _WIDTH)))
    stage.show("The client got the call:", f"send_mail({given})")
    stage.say("")
    stage.claim("the address is nowhere in what the model was sent", _ADDRESS.encode() not in seen.raw)
    stage.claim("a placeholder stood in its place", _PLACEHOLDER.search(prompt))
    stage.claim(f"the client's tool gets the real address: {_ADDRESS}", orjson.loads(given)["to"] == _ADDRESS)
    stage.claim("the answer was streamed, and nothing else in it was changed", _same(given, _call(prompt), events))


def _reply(request: Request) -> Reply:
    """The model calls the tool with what it took for an address."""
    first, *rest = cut(_call(request.body["messages"][0]["content"]), _WIDTH)
    head = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "send_mail", "arguments": first}}
    calls: list[dict[str, Any]] = [head, *({"index": 0, "function": {"arguments": each}} for each in rest)]
    return Reply(chat_events(({"tool_calls": [each]} for each in calls), "tool_calls"), media=STREAM)


def _call(prompt: str) -> str:
    found = _PLACEHOLDER.search(prompt)
    return orjson.dumps({"to": found[0] if found else "nobody", "text": "We meet at ten."}).decode()


def _arguments(delta: dict[str, Any]) -> str:
    return "".join(each.get("function", {}).get("arguments", "") for each in delta.get("tool_calls") or ())


def _same(given: str, called: str, events: list[bytes]) -> bool:
    return len(events) > 1 and _PLACEHOLDER.sub(_ADDRESS, called) == given
