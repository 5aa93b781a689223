"""Gemini: generateContent in all its ways, and the small operations that take the same bodies."""

from extproc.formats.gemini.texts import Gemini as Gemini
from extproc.formats.gemini.texts import GeminiBatchEmbed as GeminiBatchEmbed
from extproc.formats.gemini.texts import GeminiCount as GeminiCount
from extproc.formats.gemini.texts import GeminiEmbed as GeminiEmbed
