"""Azure AI Content Safety: hate, self-harm, sexual content and violence, by severity.

Source: Azure AI Content Safety REST reference, ``POST {endpoint}/contentsafety/text:analyze?api-version=2024-09-01``: at most
10,000 code points; with ``EightSeverityLevels`` a severity from 0 to 7 for each category. The key goes into
``Ocp-Apim-Subscription-Key``. It has no opinion of its own: without thresholds, medium severity (4) is flagged, as
the content filters of Azure OpenAI do by default.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import Field

from extproc.moderation.api import About, Finding, Moderation, ModerationError, Text
from extproc.moderation.chunks import Limits
from extproc.moderation.http import Answer, Http, endpoint, read, secret

CATEGORIES: Final = {"hate": "Hate", "self-harm": "SelfHarm", "sexual": "Sexual", "violence": "Violence"}
"""Our names (those of OpenAI's endpoint) and Azure's."""

_PATH: Final = "/contentsafety/text:analyze"
_VERSION: Final = "2024-09-01"
_MOST: Final = 7
_MEDIUM: Final = 4


class _Category(Answer):
    category: str
    severity: Annotated[int, Field(ge=0, le=_MOST)]


class _Analysis(Answer):
    categoriesAnalysis: list[_Category]  # noqa: N815  Azure's name


class Azure:
    """Makes single calls, one a text."""

    limits = Limits(texts=1, characters=10_000, total=10_000)

    def __init__(self, moderation: Moderation) -> None:
        self._http = Http(moderation.ca, secret("ocp-apim-subscription-key", moderation.keys))
        self._url = f"{endpoint(moderation.url, _PATH)}?api-version={_VERSION}"
        self._wanted = moderation.categories or tuple(CATEGORIES)

    async def ask(self, texts: Sequence[Text], about: About) -> list[Finding]:
        """See ``client.Service``."""
        return [await self._analyze(each.text) for each in texts]

    async def _analyze(self, text: str) -> Finding:
        asked = {
            "text": text,
            "categories": [CATEGORIES[name] for name in self._wanted],
            "outputType": "EightSeverityLevels",
        }
        found = read(_Analysis, await self._http.post(self._url, asked)).categoriesAnalysis
        by_name = {each.category: each.severity for each in found}
        if by_name.keys() != set(asked["categories"]) or len(by_name) != len(found):
            raise ModerationError("the service gives no score for a category that was asked for")
        severities = {name: by_name[CATEGORIES[name]] for name in self._wanted}
        labels = tuple(name for name, severity in severities.items() if severity >= _MEDIUM)
        return Finding(bool(labels), {name: severity / _MOST for name, severity in severities.items()}, labels)

    async def aclose(self) -> None:
        """See ``client.Service``."""
        await self._http.aclose()
