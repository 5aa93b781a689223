"""The kinds of policies. A kind is one file: a configuration model with ``compile``; add it to ``KINDS`` to ship it."""

from __future__ import annotations

from extproc.policy.kinds.pii import Pii
from extproc.policy.kinds.regex import Regex
from extproc.policy.kinds.secrets import Secrets
from extproc.policy.kinds.wordlist import Wordlist

KINDS = (Wordlist, Regex, Pii, Secrets)
"""Every kind's configuration model, told apart by its ``kind``."""

AnyPolicy = Wordlist | Regex | Pii | Secrets
