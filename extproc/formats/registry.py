"""Every format there is, by name."""

from __future__ import annotations

from typing import Final

from extproc.formats.anthropic import AnthropicComplete, AnthropicCount, AnthropicMessages
from extproc.formats.base import Format
from extproc.formats.bedrock import Converse, CountTokens, Invoke, InvokeClaude
from extproc.formats.gemini import Gemini, GeminiBatchEmbed, GeminiCount, GeminiEmbed
from extproc.formats.generic import Generic, Opaque
from extproc.formats.openai_audio import OpenAIAudio
from extproc.formats.openai_chat import OpenAIChat
from extproc.formats.openai_completions import OpenAICompletions
from extproc.formats.openai_files import OpenAIImageEdits
from extproc.formats.openai_other import OpenAIEmbeddings, OpenAIImages, OpenAIModerations, OpenAIOther
from extproc.formats.openai_responses import OpenAIResponses

CHAT: Final = "openai-chat"
"""The format in which to speak to those who have not said which they speak."""

_ALL: Final[tuple[Format, ...]] = (
    OpenAIChat(),
    OpenAIResponses(),
    OpenAICompletions(),
    OpenAIEmbeddings(),
    OpenAIModerations(),
    OpenAIImages(),
    OpenAIImageEdits(),
    OpenAIAudio(),
    OpenAIOther(),
    AnthropicMessages(),
    AnthropicCount(),
    AnthropicComplete(),
    Gemini(),
    GeminiCount(),
    GeminiEmbed(),
    GeminiBatchEmbed(),
    Converse(),
    CountTokens(),
    Invoke(),
    InvokeClaude(),
    Generic(),
    Opaque(),
)

FORMATS: Final[dict[str, Format]] = {each.name: each for each in _ALL}
