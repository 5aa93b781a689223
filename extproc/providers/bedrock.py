"""Amazon Bedrock's runtime: Converse for all models, InvokeModel for each maker's own format.

Sources: Amazon Bedrock API reference (Converse, ConverseStream, InvokeModel, InvokeModelWithResponseStream, CountTokens) and
its user guide, "Anthropic Claude Messages API": ``anthropic_version`` and ``anthropic_beta`` stand in the body, model and
stream in the path. Model ids and ARNs are percent-encoded as botocore does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from extproc.chat.losses import Losses
from extproc.providers.api import Body, Call, Names
from extproc.providers.plain import Plain

_CLAUDE: Final = "bedrock-invoke-anthropic"
_PATHS: Final = {
    "bedrock-converse": ("converse", "converse-stream"),
    "bedrock-invoke": ("invoke", "invoke-with-response-stream"),
    _CLAUDE: ("invoke", "invoke-with-response-stream"),
    "bedrock-count": ("count-tokens", "count-tokens"),
}
_VERSION: Final = "bedrock-2023-05-31"


@dataclass(frozen=True, slots=True)
class Bedrock(Plain):
    """The runtime in one region."""

    names: Names
    name: str = "bedrock"
    formats: tuple[str, ...] = ("bedrock-converse", "bedrock-count", "bedrock-invoke", _CLAUDE)

    def speaks(self, model: str) -> tuple[str, ...]:
        """See ``Kind``. Only a name that says so is Claude's: profiles have ARNs that do not."""
        return self.formats if "anthropic." in model else self.formats[:-1]

    def target(self, base: str, call: Call) -> str | None:
        """See ``Kind``. Lists of models are at another host."""
        if call.path:
            return base + call.path
        if call.format not in self.speaks(call.model) or not call.placeable:
            return None
        return f"{base}/model/{quote(call.model, safe='')}/{_PATHS[call.format][call.stream]}"

    def adjusts(self, call: Call) -> bool:
        """See ``Kind``."""
        return call.format == _CLAUDE

    def adjust(self, body: Body, call: Call, losses: Losses) -> Body:
        """See ``Kind``: a body of Anthropic's own API becomes what InvokeModel takes."""
        if not self.adjusts(call):
            return body
        changed = {name: value for name, value in body.items() if name not in ("model", "stream")}
        changed.setdefault("anthropic_version", _VERSION)
        if call.betas:
            changed.setdefault("anthropic_beta", list(call.betas))
        return body if changed == body else changed
