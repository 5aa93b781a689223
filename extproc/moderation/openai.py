"""OpenAI's moderation endpoint, and servers that offer the same.

Source: OpenAI API reference, ``POST /v1/moderations`` (input: an array of strings; results in its order, each with
``flagged``, ``categories`` and ``category_scores``). It cuts its input at 32,768 tokens without saying so, hence our pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import Field

from extproc.moderation.api import About, Finding, Moderation, ModerationError, Text, label
from extproc.moderation.chunks import Limits
from extproc.moderation.http import Answer, Http, bearer, endpoint, read

MODEL: Final = "omni-moderation-latest"
Score = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class _Result(Answer):
    flagged: bool
    categories: dict[str, bool | None] = Field(default_factory=dict)
    category_scores: dict[str, Score | None]


class _Results(Answer):
    results: list[_Result]


class OpenAI:
    """Makes single calls."""

    limits = Limits(texts=32, characters=8_000, total=32_000)

    def __init__(self, moderation: Moderation) -> None:
        self._http = Http(moderation.ca, bearer(moderation.keys))
        self._url = endpoint(moderation.url, "/moderations")
        self._model = moderation.model or MODEL
        self._wanted = frozenset(moderation.categories)

    async def ask(self, texts: Sequence[Text], about: About) -> list[Finding]:
        """See ``client.Service``. An answer without the score of a category that counts is no answer."""
        value = {"model": self._model, "input": [each.text for each in texts]}
        found = [_finding(each) for each in read(_Results, await self._http.post(self._url, value)).results]
        if any(not self._wanted <= each.scores.keys() for each in found):
            raise ModerationError("the service gives no score for a category that has a threshold")
        return found

    async def aclose(self) -> None:
        """See ``client.Service``."""
        await self._http.aclose()


def _finding(result: _Result) -> Finding:
    scores = {label(name): score for name, score in result.category_scores.items() if score is not None}
    labels = (label(name) for name, on in result.categories.items() if on)
    return Finding(result.flagged, scores, tuple(labels))
