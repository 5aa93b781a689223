"""Who is asked a question: a moderation service, or a policy's own code in a thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from extproc.exchange.judging import Found, Question
from extproc.moderation.api import About, Mark, Moderation, Text
from extproc.moderation.moderators import Moderators
from extproc.plugin import Audit, Block
from extproc.plugin import Text as Plain
from extproc.policy.python import Local
from extproc.threads import Threads


class Judges:
    """One worker's. On one event loop.

    Args:
        told: of code that does not return: the policy's name, and how many of its threads are stuck now.
    """

    def __init__(self, told: Callable[[str, int], None] = lambda name, count: None) -> None:
        self._moderators = Moderators()
        self._threads = Threads(told)

    @property
    def stuck(self) -> int:
        """Threads that policies in Python have not given back."""
        return self._threads.stuck

    async def __call__(self, question: Question) -> Found:
        """The answer to a question.

        Raises:
            Exception: there is none.
        """
        judge = question.policy.moderation
        if isinstance(judge, Moderation):
            return await self._service(judge, question)
        if isinstance(judge, Local):
            name, work = question.policy.name, partial(_inspected, judge, question)
            found: Found = await self._threads.run(judge.code, name, judge.deadline, work)
            return found
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
        self._threads.close()
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
        if mark.text < 0:
            raise IndexError("a mark of no text")
        marks[mark.text].append((mark.start, mark.end, judge.replacement(mark.label)))
    return Found(tuple(sorted({mark.label for mark in said.marks})), tuple(map(tuple, marks)))
