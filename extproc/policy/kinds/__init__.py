"""The kinds of policies. A kind is one file: a configuration model with ``compile``; add it to ``KINDS`` to ship it."""

from __future__ import annotations

from typing import Final

import pydantic

from extproc.policy.kinds.moderation import Moderation
from extproc.policy.kinds.pii import Pii
from extproc.policy.kinds.regex import Regex
from extproc.policy.kinds.wordlist import Wordlist

KINDS = (Wordlist, Regex, Pii, Moderation)
"""Every kind's configuration model, told apart by its ``kind``."""

AnyPolicy = Wordlist | Regex | Pii | Moderation

ANY_POLICY: Final[pydantic.TypeAdapter[AnyPolicy]] = pydantic.TypeAdapter(AnyPolicy)
"""Reads one."""
