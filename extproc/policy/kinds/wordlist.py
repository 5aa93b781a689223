"""Kind ``wordlist``: words and phrases, from packs, files or the configuration itself."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from extproc.config.references import resolve
from extproc.policy import packs
from extproc.policy.kinds.base import Context, PolicyBase, _listed
from extproc.policy.rules import Rule
from extproc.policy.words import WordRule


class Wordlist(PolicyBase):
    """Words and phrases: case does not count, a word is not found inside a longer one."""

    example = """
policies:
  profanity: {kind: wordlist, pack: profanity, action: redact, replace: "****"}
  codenames: {kind: wordlist, words: [project zebra, blue moon], action: block, style: refusal}
  greeting:  {kind: wordlist, words: [open sesame], action: reply, reply: It opens., phase: request}
"""
    kind: Literal["wordlist"]
    pack: Annotated[list[str], BeforeValidator(_listed)] = Field([], description="names of shipped or own packs")
    words: list[str] = Field([], description="words, phrases, or `file:PATH` with one entry a line")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.pack and not self.words:
            raise ValueError("needs `pack` or `words`")
        if any(not word.strip() for word in self.words):
            raise ValueError("an entry of `words` is empty")
        return self

    def rules(self, name: str, context: Context) -> list[Rule]:
        """One rule a pack, labelled with its name, and one for the words, labelled with the policy's."""
        found: list[Rule] = [
            WordRule(pack, packs.load(pack, context.packs).words, self.replacement(pack, context)) for pack in self.pack
        ]
        own: list[str] = []
        for word in self.words:
            own += resolve(word, {}, context.folder).splitlines() if word.startswith("file:") else [word]
        if own:
            found.append(WordRule(name, own, self.replacement(name, context)))
        return found
