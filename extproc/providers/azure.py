"""Azure OpenAI: the operations of OpenAI at a resource of one's own, where deployments stand for models.

Sources: Microsoft's Azure OpenAI REST API reference (``/openai/deployments/{deployment}/…?api-version=DATE``) and its v1 API
(``/openai/v1/…``, where the deployment is the body's ``model`` and no version is needed).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from extproc.providers.api import Call, Names
from extproc.providers.openai import PATHS
from extproc.providers.plain import Plain

FORMATS: Final = (
    "openai-chat", "openai-responses", "openai-completions", "openai-embeddings", "openai-images", "openai-image-edits",
    "openai-audio",
)  # fmt: skip
_USAGE_SINCE: Final = "2024-09-01"
"""Versions of the API before this one refuse ``stream_options``."""


@dataclass(frozen=True, slots=True)
class Azure(Plain):
    """A resource. ``names``: models to deployments. ``version``: a date for the classic API, empty or a word for v1."""

    names: Names
    version: str = ""
    name: str = "azure"
    formats: tuple[str, ...] = FORMATS

    @property
    def stream_usage(self) -> bool:
        """See ``Kind``."""
        return not self._classic or self.version >= _USAGE_SINCE

    @property
    def _classic(self) -> bool:
        return self.version[:1].isdigit()

    def target(self, base: str, call: Call) -> str | None:
        """See ``Kind``. ``base`` may also be what an OpenAI SDK is given for the v1 API."""
        base = base.removesuffix("/openai/v1").removesuffix("/openai")
        path = call.path or ("/models" if call.operation == "models" else self._path(call))
        if not path:
            return None
        if not self._classic:
            return _versioned(f"{base}/openai/v1{path}", self.version)
        of_deployment = not call.path and call.operation != "models" and call.format != "openai-responses"
        if of_deployment and not call.placeable:
            return None
        place = f"/deployments/{quote(call.model, safe='')}" if of_deployment else ""
        return _versioned(f"{base}/openai{place}{path}", self.version)

    def _path(self, call: Call) -> str:
        if call.format not in FORMATS or call.operation == "image-variations":
            return ""
        return PATHS.get((call.format, call.operation), "")


def _versioned(path: str, version: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}api-version={version}" if version else path
