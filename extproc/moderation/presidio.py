"""Microsoft Presidio's analyzer: personal data, with places.

Source: Presidio API documentation, ``POST /analyze`` (docs/api-docs/api-docs.yml of its repository): ``text``, ``language``,
``entities``, ``score_threshold``; a list of ``entity_type``, ``start``, ``end`` and ``score``. Places count code points, as
Python does.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from extproc.moderation.api import About, Finding, Mark, Moderation, ModerationError, Text, label
from extproc.moderation.chunks import Limits
from extproc.moderation.http import Answer, Http, bearer, endpoint, read
from extproc.moderation.openai import Score


class _Entity(Answer):
    entity_type: str
    start: int = Field(ge=0)
    end: int
    score: Score


class _Entities(Answer):
    found: list[_Entity]


class Presidio:
    """Makes single calls, one a text."""

    limits = Limits(texts=1, characters=20_000, total=20_000)

    def __init__(self, moderation: Moderation) -> None:
        self._http = Http(moderation.ca, bearer(moderation.keys))
        self._url = endpoint(moderation.url, "/analyze")
        self._asked: dict[str, object] = {"language": moderation.language}
        if moderation.thresholds:
            self._asked["entities"] = [name.upper() for name in moderation.categories]
            self._asked["score_threshold"] = min(least for _, least in moderation.thresholds)

    async def ask(self, texts: Sequence[Text], about: About) -> list[Finding]:
        """See ``client.Service``."""
        return [await self._analyze(each.text) for each in texts]

    async def _analyze(self, text: str) -> Finding:
        answer = await self._http.post(self._url, {"text": text, **self._asked})
        found = read(_Entities, {"found": answer}).found
        if any(not each.start < each.end <= len(text) for each in found):
            raise ModerationError("the service found something beyond the text")
        marks = tuple(Mark(each.start, each.end, label(each.entity_type), each.score) for each in found)
        scores: dict[str, float] = {}
        for mark in marks:
            scores[mark.label] = max(mark.score, scores.get(mark.label, 0.0))
        return Finding(bool(marks), scores, tuple(scores), marks)

    async def aclose(self) -> None:
        """See ``client.Service``."""
        await self._http.aclose()
