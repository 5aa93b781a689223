"""A secret, cut over many events of a streamed answer, is redacted or stopped as if it stood there whole."""

from __future__ import annotations

import threading
from typing import Final

from extproc.demo.provider import STREAM, Provider, Reply, Request, chat_events, cut, text_of
from extproc.demo.stage import Stage, chat

_KEY: Final = "AKIA" + "Q3EGR7XJ5M2KV4WT"
"""Shaped as an AWS access key id; nobody's."""
_SAID: Final = f"Of course, the key is {_KEY}; please keep it to yourself."
_WANTED: Final = _SAID.replace(_KEY, "[aws_access_key_id]")
_WIDTHS: Final = (1, 2, 3, 5, 8, 13, 21, len(_SAID))
_SHOWN: Final = 3
_COLUMN: Final = 24

_CONFIG: Final = """
providers:
  model: {{type: openai-compatible, base_url: "{url}/v1", keys: none}}
models: {{helpful: model, strict: model}}
policies:
  redacted: {{kind: secrets, action: redact, phase: response}}
  stopped:  {{kind: secrets, action: block, phase: response}}
attach:
  - {{use: redacted, to: {{model: helpful}}}}
  - {{use: stopped, to: {{model: strict}}}}
"""


async def play(stage: Stage) -> None:
    """See the module."""
    scene = _Scene()
    provider = Provider(scene.reply, pace=0.01)
    stage.tell(
        "A model has seen a key it should not know, and gives it away: a few letters in each event of its stream."
    )
    async with stage.provider(provider) as url:
        config = _CONFIG.format(url=url)
        stage.show("The configuration:", config)
        async with stage.gateway(config) as (_, port):
            await _redacted(stage, scene, port)
            await _stopped(stage, scene, port)


class _Scene:
    """How the model cuts its answer, and what both ends saw in which order."""

    def __init__(self) -> None:
        self.width = 1
        self._seen: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    def reply(self, request: Request) -> Reply:
        """The model's answer."""
        events = chat_events({"content": piece} for piece in cut(_SAID, self.width))
        return Reply(events, media=STREAM, told=lambda at: self.saw("model", events[at]))

    def begin(self, width: int) -> None:
        """From here on it cuts its answers so."""
        self.width = width
        self._seen = []

    def saw(self, side: str, event: bytes) -> None:
        """An event at one end."""
        if text := text_of(event):
            with self._lock:
                self._seen.append((side, text))

    def table(self) -> str:
        """All that was seen, the model on the left."""
        rows = [("the model sent", "the client got")]
        rows += [(repr(text), "") if side == "model" else ("", repr(text)) for side, text in self._seen]
        return "\n".join(f"{left:<{_COLUMN}}{right}".rstrip() for left, right in rows)


async def _redacted(stage: Stage, scene: _Scene, port: int) -> None:
    answers = {}
    for width in _WIDTHS:
        scene.begin(width)
        answers[width] = await stage.ask(
            port, chat("helpful", "What is the key?"), told=lambda event: scene.saw("client", event)
        )
        if width == _SHOWN:
            stage.show(
                f"Redacted. The answer in pieces of {width} characters, as both ends saw it, one line a moment:",
                scene.table(),
            )
    stage.say("")
    stage.claim(f"the client read: {_WANTED}", text_of(answers[_SHOWN].body) == _WANTED)
    widths = ", ".join(map(str, _WIDTHS))
    same = all(text_of(each.body) == _WANTED and each.whole for each in answers.values())
    stage.claim(f"the very same in pieces of {widths} characters", same)
    stage.claim("no part of the key is in what the client got", not any(_leaks(each.body) for each in answers.values()))


async def _stopped(stage: Stage, scene: _Scene, port: int) -> None:
    scene.begin(1)
    answer = await stage.ask(port, chat("strict", "What is the key?"))
    stage.show(
        "Blocked, where the policy says so. The model sent a character an event; the client got this text, then this event:",
        _shown(answer.body),
    )
    stage.say("")
    before = _SAID.partition(_KEY)[0]
    stage.claim(f"the client read, and no more: {text_of(answer.body)}", before.startswith(text_of(answer.body)))
    stage.claim("then it was told why, in its own format", b"policy_violation" in answer.body)
    stage.claim("no part of the key is in what the client got", not _leaks(answer.body))


def _leaks(body: bytes) -> bool:
    """Whether any four letters of the key are there, in one event or across several."""
    text = body.decode() + text_of(body)
    return any(_KEY[at : at + 4] in text for at in range(len(_KEY) - 3))


def _shown(body: bytes) -> str:
    return "\n".join([repr(text_of(body)), *(each for each in body.decode().split("\n\n") if '"error"' in each)])
