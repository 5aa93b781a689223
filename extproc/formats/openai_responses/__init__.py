"""OpenAI responses."""

from extproc.formats.openai_responses.format import OpenAIResponses as OpenAIResponses
