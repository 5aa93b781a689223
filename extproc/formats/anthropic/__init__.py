"""Anthropic: messages, the counting of their tokens, and the way in and out of the canonical form."""

from extproc.formats.anthropic.codec import AnthropicCodec as AnthropicCodec
from extproc.formats.anthropic.messages import AnthropicCount as AnthropicCount
from extproc.formats.anthropic.messages import AnthropicMessages as AnthropicMessages
