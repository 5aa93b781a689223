"""What the tests of policies share: one gateway with many of them, each attached to a model of its own, and a judge.

A model ``gpt-NAME`` has the policy (or set) NAME; all have ``emails``. The judge speaks OpenAI's moderation API. What it does
goes by the model it is asked for (``hang-…`` hangs) and by the text: ``wrathful`` is flagged.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.e2e.gateway import Running
from tests.e2e.harness import Start, free_port
from tests.e2e.upstream import Behaviour, Gate, Received, Upstream, Wire, raw, respond

JUDGE_KEY = "sk-judge-MARKERJUDGE0123456789"
BAD = "wrathful"
FAULTS = ("hang", "500", "nonsense", "close", "gone")
DEADLINE = 0.5
SLACK = 5.0
"""Seconds that a busy machine may take longer than a deadline."""
HOUSE = Path(__file__).with_name("house.py")


class Judge(Upstream):
    """A moderation server. ``hold`` makes it wait with whatever mentions a word."""

    def __init__(self) -> None:
        self._held: dict[str, Gate] = {}
        super().__init__("judge")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def hold(self, word: str) -> Gate:
        return self._held.setdefault(word, Gate())

    def asked(self, word: str) -> list[Received]:
        """Requests that mention a word."""
        return [each for each in list(self.requests) if word.encode() in each.body]

    def _check(self, received: Received, length: list[str], coding: list[str]) -> None:
        """It may be told more than a provider, but no key other than its own."""
        if received.all("authorization") != [f"Bearer {JUDGE_KEY}"] or "MARKERKEY" in repr(received.headers):
            self.violations.append(f"judge: {received.headers}")

    def _behaviour(self, received: Received) -> Behaviour:
        return self._judge

    async def _judge(self, wire: Wire) -> None:
        asked = wire.received.json()
        texts = asked["input"]
        for word, gate in list(self._held.items()):
            if any(word in text for text in texts):
                await gate.wait()
        await _FAULTS.get(asked["model"].partition("-")[0], _judged)(wire)


async def _judged(wire: Wire) -> None:
    found = [BAD in text for text in wire.received.json()["input"]]
    results = [
        {"flagged": bad, "categories": {"violence": bad}, "category_scores": {"violence": 0.99 if bad else 0.01}}
        for bad in found
    ]
    body = {"id": "modr-1", "model": "omni-moderation-latest", "results": results}
    await respond(200, json.dumps(body).encode())(wire)


async def _hangs(wire: Wire) -> None:
    await asyncio.sleep(30)


_FAULTS: dict[str, Behaviour] = {
    "hang": _hangs,
    "500": respond(500, b'{"error": "no"}'),
    "nonsense": respond(200, b'{"results": [{"flagged": "perhaps"}]}'),
    "close": raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{", then="close"),
}


def moderation(judge: Judge, **more: Any) -> dict[str, Any]:
    return {
        "kind": "moderation",
        "service": "openai",
        "url": judge.url,
        "key": "env:JUDGE_KEY",
        "deadline": "15s",
        **more,
    }


def judged(judge: Judge) -> dict[str, dict[str, Any]]:
    """Policies whose judge answers, and one for each fault at each place with each ``on_error``."""
    gone = f"http://127.0.0.1:{free_port()}/v1"
    request, answer = {"phase": "request"}, {"phase": "response", "window": 40}
    found: dict[str, dict[str, Any]] = {
        "before": moderation(judge, **request),
        "parallel": moderation(judge, **request, wait="parallel"),
        "answer": moderation(judge, **answer),
        "both": moderation(judge, wait="parallel", window=40),
        "watch": moderation(judge, mode="audit", window=40),
        "lagging": moderation(judge, **answer, lag=60),
    }
    places = {"before": request, "parallel": {**request, "wait": "parallel"}, "answer": answer}
    for fault in FAULTS:
        for place, fields in places.items():
            for on_error in ("block", "allow"):
                name = f"{fault}-{place}-{on_error}"
                found[name] = moderation(judge, model=name, on_error=on_error, **fields) | {
                    "deadline": f"{int(DEADLINE * 1000)}ms"
                }
                if fault == "gone":
                    found[name]["url"] = gone
    return found


def words(word: str, **more: Any) -> dict[str, Any]:
    return {"kind": "wordlist", "words": [word], "action": "block", **more}


def styled() -> dict[str, dict[str, Any]]:
    """Blocks of every look."""
    return {
        "style-error": words("xyzzy", status=451),
        "style-message": words("xyzzy", message="Not in this house."),
        "style-refusal": words("xyzzy", style="refusal"),
        "style-refusal-message": words("xyzzy", style="refusal", message="Not in this house."),
        "style-truncate": words("xyzzy", style="truncate"),
    }


def attachable() -> dict[str, dict[str, Any]]:
    """What headers and lines choose among."""
    return {
        "extra": words("frobozz"),
        "marks": words("quux", action="redact"),
        "custom": words("grue", action="audit"),
    }


def of_requests() -> dict[str, dict[str, Any]]:
    """Policies that judge a request as a whole."""
    python = {"kind": "python", "deadline": "20s"}
    short = {"kind": "python", "deadline": "700ms"}
    reply = {"text": ["ping"], "match": "normalised", "reply": "pong it is"}
    return {
        "clamp": {"kind": "caps", "max_output_tokens": {"default": 50, "max": 100}},
        "reject": {"kind": "caps", "max_output_tokens": {"max": 100, "over": "reject"}, "max_choices": 1},
        "models": {"kind": "models", "deny": ["gpt-models-bad"]},
        "operations": {"kind": "operations", "deny": ["chat"]},
        "tools": {"kind": "tools", "allow": ["get_*"]},
        "vision": {"kind": "vision", "allow": ["image"], "remote": "deny"},
        "language": {"kind": "language", "allow": ["Latin"]},
        "user": {"kind": "identity", "require_user": True, "banned": ["mallory"]},
        "inside": {"kind": "identity", "allow": ["127.0.0.0/8"]},
        "outside": {"kind": "identity", "deny": ["127.0.0.0/8"]},
        "autoreply": {"kind": "autoreply", "answers": [reply]},
        "rewrite": {"kind": "rewrite", "system": {"prepend": "You answer for Acme."}, "set": {"temperature": 0.25},
                    "remove": ["logit_bias"], "models": {"gpt-rewrite": "house-model"}},
        "inspect": {**python, "path": f"{HOUSE}:Inspects", "phase": "request"},
        "inspect-answer": {**python, "path": f"{HOUSE}:Inspects", "phase": "response", "window": 40},
        "hook": {**python, "path": f"{HOUSE}:Hooks"},
        "stuck": {**short, "path": f"{HOUSE}:Hangs", "phase": "request"},
        "stuck-answer": {**short, "path": f"{HOUSE}:Hangs", "phase": "response"},
    }  # fmt: skip


def start_firewall(start: Start, judge: Judge) -> Running:
    by_model = {**judged(judge), **styled(), **of_requests()}
    policies = {"emails": {"kind": "pii", "find": ["email"], "action": "redact"}, **by_model, **attachable()}
    attach: list[dict[str, Any]] = [{"use": "emails", "to": "all"}]
    attach += [{"use": name, "to": {"model": [f"gpt-{name}", f"gpt-{name}-bad"]}} for name in by_model]
    attach += [
        {"use": "extra", "to": {"header": {"x-team": ["red", "blue-*"]}}},
        {"use": "style-error", "to": {"model": "gpt-trusted"}},
        {"except": "style-error", "to": {"jwt": {"team": "trusted"}}, "reason": "a test", "until": "2999-12-31"},
    ]
    return start(
        "firewall",
        environment={"JUDGE_KEY": JUDGE_KEY},
        policies=policies,
        sets={"pair": ["extra", "marks"]},
        attach=attach,
        processor={"python": True, "keep_alive": "300ms", "message_timeout": "3s"},
        overrides={"usagepanda": True, "loosen": [{"policies": ["extra"], "to": {"jwt": {"team": "trusted"}}}]},
        models={"house-model": "beta/house"},
    )
