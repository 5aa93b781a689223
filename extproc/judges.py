"""Who is asked a question: a moderation service, or a policy's own code in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from extproc.exchange.judging import Found, Question
from extproc.moderation.api import About, Mark, Moderation, Text
from extproc.moderation.moderators import Moderators
from extproc.plugin import Audit, Block
from extproc.plugin import Text as Plain
from extproc.policy.python import Local

_THREADS: Final = 4


class Judges:
    """One worker's. On one event loop."""

    def __init__(self) -> None:
        self._moderators = Moderators()
        self._threads = ThreadPoolExecutor(_THREADS, "policy")

    async def __call__(self, question: Question) -> Found:
        """The answer to a question.

        Raises:
            Exception: there is none.
        """
        judge = question.policy.moderation
        if isinstance(judge, Moderation):
            return await self._service(judge, question)
        if isinstance(judge, Local):
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, _inspected, judge, question)
        raise TypeError("nobody to ask")

    async def _service(self, judge: Moderation, question: Question) -> Found:
        texts = [Text.of(scope, text) for scope, text in question.texts]
        fired = await self._moderators.judge(judge, texts, About(question.phase, question.request_id))
        marks = tuple(tuple((mark.start, mark.end, _instead(judge, mark)) for mark in marks) for marks in fired.marks)
        return Found(fired.labels, marks)

    async def retain(self, judges: Iterable[object]) -> None:
        """A new configuration is in force: close what only the old one needed."""
        await self._moderators.retain([each for each in judges if isinstance(each, Moderation)])

    async def aclose(self) -> None:
        """Close all connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        await self._moderators.aclose()


def _instead(judge: Moderation, mark: Mark) -> str:
    """What stands in for a marked part: what the service wants there, else what the policy says."""
    return judge.replacement(mark.label) if mark.replacement is None else mark.replacement


def _inspected(judge: Local, question: Question) -> Found:
    said = judge.inspect([Plain(scope, text) for scope, text in question.texts], question.caller)
    if said is None:
        return Found()
    if isinstance(said, Block):
        return Found((said.label,), blocks=True)
    if isinstance(said, Audit):
        return Found((said.label,), watches=True)
    marks: list[list[tuple[int, int, str]]] = [[] for _ in question.texts]
    for mark in said.marks:
        marks[mark.text].append((mark.start, mark.end, judge.replacement(mark.label)))
    return Found(tuple(sorted({mark.label for mark in said.marks})), tuple(map(tuple, marks)))
