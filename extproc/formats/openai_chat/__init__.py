"""OpenAI chat completions."""

from extproc.formats.openai_chat.texts import OpenAIChat as OpenAIChat
