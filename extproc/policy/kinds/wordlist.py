"""Kind ``wordlist``: words and phrases, from packs, files or the configuration itself."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from extproc.config.references import resolve
from extproc.policy import packs
from extproc.policy.api import Strictness
from extproc.policy.hardened import hardened_rules
from extproc.policy.kinds.base import Context, PolicyBase, _listed
from extproc.policy.rules import Rule
from extproc.policy.words import WordRule


class Wordlist(PolicyBase):
    """Words and phrases: a word is not found inside a longer one. Case counts only with `match: exact`."""

    default_match = Strictness.HARDENED

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
        """The rules of each pack, labelled with its name, and of the words, labelled with the policy's."""
        found: list[Rule] = []
        for pack in self.pack:
            found += self._rules(pack, packs.load(pack, context.packs).words, context)
        own: list[str] = []
        for word in self.words:
            own += resolve(word, {}, context.folder).splitlines() if word.startswith("file:") else [word]
        return found + self._rules(name, own, context) if own else found

    def _rules(self, label: str, words: list[str], context: Context) -> list[Rule]:
        replacement = self.replacement(label, context)
        if self.strictness is Strictness.HARDENED:
            return hardened_rules(label, words, replacement)
        return [WordRule(label, words, replacement, self.strictness)]
