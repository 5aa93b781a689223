"""A worker is killed while it redacts: its answers are cut off, nothing passes raw, and the next request is served."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable
from typing import Final

from extproc.demo.provider import STREAM, Provider, Reply, Request, chat_events, cut, text_of
from extproc.demo.stage import Answer, Stage, chat
from extproc.supervisor import Supervisor

_CLIENTS: Final = 12
_AGAIN: Final = 10
"""Attempts of a client for whom there is none to serve at the moment, as SDKs make them; far more than it takes."""
_SAID: Final = "First write to first.one@example.org, and when that is done to second.one@example.org, please."
_WANTED: Final = "First write to [email], and when that is done to [email], please."
_RAW: Final = ("first.one", "second.one", "example.org")

_CONFIG: Final = """
providers:
  model: {{type: openai-compatible, base_url: "{url}/v1", keys: none}}
policies:
  addresses: {{kind: pii, find: [email], action: redact}}
processor: {{workers: 2}}
"""


async def play(stage: Stage) -> None:
    """See the module."""
    scene = _Scene()
    stage.tell(f"""
        {_CLIENTS} clients read answers with addresses in them, through two workers. In the middle one is killed.
        Envoy may warn of the streams that are gone: so it should.
    """)
    async with stage.provider(Provider(scene.reply)) as url:
        config = _CONFIG.format(url=url)
        stage.show("The configuration:", config)
        async with stage.gateway(config) as (supervisor, port):
            answers = await _interrupted(stage, scene, supervisor, port)
            after = [await _patiently(stage, port) for _ in range(_CLIENTS)]
    cut_off = [each for each in answers if not each.whole or each.status != 200]
    stage.show(
        "What the clients got:",
        f"{len(answers) - len(cut_off)} whole answers, {len(cut_off)} cut off. One of each kind:\n"
        + "\n".join({repr(text_of(each.body)): "" for each in answers if each.status == 200}),
    )
    stage.say("")
    clean = not any(map(_leaks, (*answers, *after)))
    stage.claim("no client got a part of an address, whole or cut off", clean)
    stage.claim(
        "what was cut off is the beginning of the redacted answer, and what was not is all of it",
        all(_begins(each) for each in answers),
    )
    stage.claim(f"{_CLIENTS} new requests were served, whole and redacted", all(map(_good, after)))


class _Scene:
    """Answers that wait in the middle until they are told to go on."""

    def __init__(self) -> None:
        self.waiting = 0
        self.go_on = asyncio.Event()
        self.all_wait = asyncio.Event()

    def reply(self, request: Request) -> Reply:
        """The model's answer."""
        events = chat_events({"content": piece} for piece in cut(_SAID, 4))
        middle = len(events) // 2
        return Reply(events, media=STREAM, told=lambda at: self._wait() if at == middle else None)

    def _wait(self) -> Awaitable[object] | None:
        if self.go_on.is_set():
            return None
        self.waiting += 1
        if self.waiting == _CLIENTS:
            self.all_wait.set()
        return self.go_on.wait()


async def _interrupted(stage: Stage, scene: _Scene, supervisor: Supervisor, port: int) -> list[Answer]:
    """Answers in whose middle a worker is killed."""
    asked = [asyncio.ensure_future(stage.ask(port, chat("any", "To whom do I write?"))) for _ in range(_CLIENTS)]
    await asyncio.wait_for(scene.all_wait.wait(), 20)
    killed, *_ = supervisor.pool.pids
    os.kill(killed, signal.SIGKILL)
    async with asyncio.timeout(20):
        while killed in supervisor.pool.pids:  # noqa: ASYNC110  the pool has to be asked
            await asyncio.sleep(0.01)
    stage.tell(f"All answers were half said: kill -9 {killed}. Another worker has taken its place. The models go on.")
    scene.go_on.set()
    return await asyncio.gather(*asked)


async def _patiently(stage: Stage, port: int) -> Answer:
    for _ in range(_AGAIN):
        answer = await stage.ask(port, chat("any", "To whom do I write?"))
        if answer.status != 503:
            break
        await asyncio.sleep(float(answer.headers.get("retry-after", "1")))
    return answer


def _leaks(answer: Answer) -> bool:
    """Whether anything of an address is there, in one event or across several."""
    text = answer.body.decode() + text_of(answer.body)
    return any(raw in text for raw in _RAW)


def _begins(answer: Answer) -> bool:
    """Whether it is the redacted text, or where it was cut off the beginning of it."""
    if answer.whole and answer.status == 200 and b"[DONE]" in answer.body:
        return text_of(answer.body) == _WANTED
    return _WANTED.startswith(text_of(answer.body))


def _good(answer: Answer) -> bool:
    return answer.status == 200 and answer.whole and text_of(answer.body) == _WANTED
