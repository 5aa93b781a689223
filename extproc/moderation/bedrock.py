"""Amazon Bedrock's guardrails, without a model.

Sources: Amazon Bedrock API reference, ``ApplyGuardrail`` (``POST /guardrail/{id}/version/{version}/apply`` with ``source`` and
``content``; ``action`` and ``assessments``) and the service model in botocore. Credentials are signed with, or a single key is
a Bedrock API key (a bearer token).

What a guardrail finds it quotes; the places are where those words stand. It assesses a call as a whole, so a finding counts
for every text of its call, and where places matter each text has a call of its own. Topics and content filters have no
place. The categories are the guardrail's own names. Grounding needs a source and a query, which we do not send.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal
from urllib.parse import quote

from pydantic import Field

from extproc.framing.jsontext import dump
from extproc.moderation.api import FLAGGED, About, Finding, Mark, Moderation, ModerationError, Text, label
from extproc.moderation.chunks import Limits
from extproc.moderation.http import Answer, Http, bearer, read
from extproc.moderation.services import region
from extproc.policy.api import Phase
from extproc.providers.sigv4 import sign

_CONFIDENCE: Final = {"NONE": 0.0, "LOW": 1 / 3, "MEDIUM": 2 / 3, "HIGH": 1.0}
_MARKS_MAX: Final = 10_000
_ITEMS_MAX: Final = 1_000


class _Item(Answer):
    """Anything a policy of a guardrail found; which fields there are depends on the policy."""

    action: str
    type: str | None = None
    name: str | None = None
    match: str | None = None
    confidence: Literal["NONE", "LOW", "MEDIUM", "HIGH"] = "HIGH"
    detected: bool = True


def _items() -> Any:
    return Field(default_factory=list)


class _Assessed(Answer):
    topics: list[_Item] = _items()
    filters: list[_Item] = _items()
    customWords: list[_Item] = _items()  # noqa: N815  Amazon's names
    managedWordLists: list[_Item] = _items()  # noqa: N815
    piiEntities: list[_Item] = _items()  # noqa: N815
    regexes: list[_Item] = _items()


class _Assessment(Answer):
    topicPolicy: _Assessed | None = None  # noqa: N815
    contentPolicy: _Assessed | None = None  # noqa: N815
    wordPolicy: _Assessed | None = None  # noqa: N815
    sensitiveInformationPolicy: _Assessed | None = None  # noqa: N815


class _Applied(Answer):
    action: Literal["NONE", "GUARDRAIL_INTERVENED"]
    assessments: list[_Assessment]


class Bedrock:
    """Makes single calls."""

    def __init__(self, moderation: Moderation) -> None:
        self._keys = moderation.keys
        signs = len(self._keys) > 1
        self._http = Http(moderation.ca, {} if signs else bearer(self._keys))
        guardrail, _, version = moderation.model.rpartition("/")
        base = moderation.url.rstrip("/")
        self._url = f"{base}/guardrail/{quote(guardrail, safe='')}/version/{quote(version, safe='')}/apply"
        self._region = region(moderation.url) if signs else ""
        self.limits = Limits(texts=1 if moderation.places else 25, characters=10_000, total=25_000)

    async def ask(self, texts: Sequence[Text], about: About) -> list[Finding]:
        """See ``client.Service``."""
        source = "INPUT" if about.phase is Phase.REQUEST else "OUTPUT"
        body = dump({"source": source, "content": [{"text": {"text": each.text}} for each in texts]})
        applied = read(_Applied, await self._http.send(self._url, body, self._signed(body)))
        items = [item for each in applied.assessments for item in _all(each) if item.detected]
        flagged = applied.action == "GUARDRAIL_INTERVENED"
        return [_finding(each.text, items, flagged=flagged) for each in texts]

    def _signed(self, body: bytes) -> dict[str, str]:
        if not self._region:
            return {}
        return sign(self._url, body, self._keys, self._region, "bedrock", datetime.datetime.now(datetime.UTC))

    async def aclose(self) -> None:
        """See ``client.Service``."""
        await self._http.aclose()


def _all(assessment: _Assessment) -> Iterator[_Item]:
    for policy in (
        assessment.topicPolicy,
        assessment.contentPolicy,
        assessment.wordPolicy,
        assessment.sensitiveInformationPolicy,
    ):
        for items in dict(policy or ()).values():
            yield from items


def _finding(text: str, items: list[_Item], *, flagged: bool) -> Finding:
    if len(items) > _ITEMS_MAX:
        raise ModerationError("the service found too much")
    scores: dict[str, float] = {}
    labels: dict[str, None] = {}
    quoted: dict[tuple[str, str], None] = {}
    unplaced: set[str] = set()
    for item in items:
        name = label(item.name or item.type or "word")
        scores[name] = max(_CONFIDENCE[item.confidence], scores.get(name, 0.0))
        if item.action != "NONE":
            labels[name] = None
        if item.match and item.match in text:
            quoted[name, item.match] = None
        else:
            unplaced.add(name)
    marks = [mark for name, match in quoted if name not in unplaced for mark in _marks(text, match, name)]
    if len(marks) > _MARKS_MAX:
        raise ModerationError("the service found too much")
    unnamed = (FLAGGED,) if flagged else ()
    return Finding(flagged, scores, tuple(labels) or unnamed, tuple(marks))


def _marks(text: str, match: str, name: str) -> Iterator[Mark]:
    at = text.find(match)
    while at >= 0:
        yield Mark(at, at + len(match), name)
        at = text.find(match, at + len(match))
