"""The kinds of policies. A kind is one file: a configuration model with ``compile``; add it to ``KINDS`` to ship it."""

from __future__ import annotations

from typing import Final

import pydantic

from extproc.policy.kinds.autoreply import Autoreply
from extproc.policy.kinds.caps import Caps
from extproc.policy.kinds.identity import Identity
from extproc.policy.kinds.language import Language
from extproc.policy.kinds.models import Models
from extproc.policy.kinds.moderation import Moderation
from extproc.policy.kinds.operations import Operations
from extproc.policy.kinds.pii import Pii
from extproc.policy.kinds.python import Python
from extproc.policy.kinds.reflection import Reflection
from extproc.policy.kinds.regex import Regex
from extproc.policy.kinds.rewrite import Rewrite
from extproc.policy.kinds.secrets import Secrets
from extproc.policy.kinds.tools import Tools
from extproc.policy.kinds.vision import Vision
from extproc.policy.kinds.wordlist import Wordlist

KINDS = (
    Wordlist, Regex, Pii, Secrets, Moderation, Python,
    Autoreply, Caps, Identity, Language, Models, Operations, Reflection, Rewrite, Tools, Vision,
)  # fmt: skip
"""Every kind's configuration model, told apart by its ``kind``: those of texts, then those of whole requests."""

AnyPolicy = (
    Wordlist | Regex | Pii | Secrets | Moderation | Python
    | Autoreply | Caps | Identity | Language | Models | Operations | Reflection | Rewrite | Tools | Vision
)  # fmt: skip

ANY_POLICY: Final[pydantic.TypeAdapter[AnyPolicy]] = pydantic.TypeAdapter(AnyPolicy)
"""Reads one."""
