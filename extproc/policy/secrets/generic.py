r"""Secrets without a shape: values that a name calls a password, a key or a token, told by how they look.

Owns: the words that announce a secret, in several languages, and the ways in which a value can follow: an assignment, a
mapping, a header, an option of a command, a sentence.
"""

from __future__ import annotations

from typing import Final

from extproc.policy.secrets.checks import password_value, random_looking, secret_value, stand_in
from extproc.policy.secrets.family import Family, Shape
from extproc.policy.secrets.parts import ASSIGNED, SEPARATOR, WIDE_COLON

_PASSWORDS: Final = (
    "(?i:passwor[dt]|passwd|passphrase|passcode|pwd|kennwort|contraseña|contrasena|senha|mot de passe|wachtwoord|parola|"
    "hasło|lösenord|пароль|密码|密碼|口令|パスワード|비밀번호)"
)
_SECRETS: Final = (
    "(?i:secret|token|credential|api[ _-]?key|"
    "(?:access|auth|private|account|master|service|signing|encryption)[ _-]?key)"
)
_KEYS: Final = r"(?i:[_-]key|\bkey)"

_SUFFIX: Final = (
    r"(?:[_-]?(?i:\d{1,3}|prod|production|dev|test|staging|live|root|admin|user|db|value|b64|base64|key|hash)){0,2}"
)
_REST: Final = r"[\w-]{0,24}"
_WORDS: Final = r"(?: [A-Za-z]{1,12}){0,4}"
_PLAIN: Final = rf"""[^\s"'`,;<>{{}}()\[\]|&{WIDE_COLON}]{{6,128}}[(\[{{<]?"""
_QUOTED: Final = r"""[^\s"'`\\]{6,128}"""
_RANDOM: Final = r"[A-Za-z0-9_.~+/%-]{12,256}={0,2}[(\[{<]?"
_SAID: Final = (
    r"(?:(?i:\s(?:is|was|ist|lautet|est|es|é|are|to|as))?\s?[:=]\s?|\s(?i:is|was|ist|lautet|est|es|é)\s)[\"'`]?"
)


_PASSWORD_SHAPES: Final = (
    Shape(_PASSWORDS, _QUOTED, password_value, lead=_SUFFIX + ASSIGNED + r"""\\?["'`]"""),
    Shape(_PASSWORDS, _PLAIN, password_value, lead=_SUFFIX + ASSIGNED),
    Shape("--(?i:password|passwd|pass)", _PLAIN, password_value, lead=r"[ =][\"']?"),
    Shape(r"(?i:\blogin)", _PLAIN, password_value, lead=r"\s[^\s]{1,64}\s(?i:password)\s"),
    Shape(r"(?i:\bidentified by)", _QUOTED, password_value, lead=r"\s[\"']"),
)


def _in_a_sentence(value: str) -> bool:
    """A word of a sentence is no password; one with letters and digits is."""
    text = value.rstrip(".,!?:")
    return len(text) >= 6 and any(map(str.isalpha, text)) and any(map(str.isdigit, text)) and not stand_in(text)


def families(threshold: float) -> tuple[Family, ...]:
    """The families; ``threshold`` is the least entropy of keys and tokens in bits a character."""

    def token(value: str) -> bool:
        return secret_value(value, threshold)

    def quiet(value: str) -> bool:  # nothing but a word says that it is one
        return (
            len(value) >= 20 and random_looking(value) and secret_value(value, max(threshold, 3.5)) and "/" not in value
        )

    return (
        Family("password", "generic", "values that are called a password, in several languages", (
            *_PASSWORD_SHAPES,
            Shape(_PASSWORDS, _PLAIN, _in_a_sentence, lead=_WORDS + _SAID),
        )),
        Family("secret", "generic", "values that are called a key, token or secret, and look random", (
            Shape(_SECRETS, _RANDOM, token, lead=_REST + SEPARATOR),
            Shape(_KEYS, _RANDOM, quiet, lead=SEPARATOR),
            Shape("--(?i:[a-z-]{0,20}(?:token|secret|key))", _RANDOM, token, lead=r"[ =][\"']?"),
            Shape(_SECRETS, _RANDOM, quiet, lead="s?" + _WORDS + r"[ :=]{1,4}[\"'`]?"),
        )),
    )  # fmt: skip
