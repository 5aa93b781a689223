"""The disguise matrix: terms of the shipped packs and invented names, each in many disguises, whole and streamed."""

from __future__ import annotations

import base64
import os
import random
import re
import textwrap
from pathlib import Path

import yaml

from extproc.policy.api import Action, Mode, Phase, Policy, Scope, Strictness, Tally
from extproc.policy.chain import Chain
from extproc.policy.hardened import hardened_rules
from extproc.policy.scanner import apply
from tests.property import oracle

TERMS = int(os.environ.get("EXTPROC_TEST_DISGUISED_TERMS", "60"))
"""Terms taken of each sort is a third of it; 200 for the whole matrix."""
NAMES = [
    f"{first} {second}" for first in ("project", "operation", "blue", "silent", "iron", "northern")
    for second in ("aurora", "heron", "mistral", "lantern", "gate", "quartz", "saffron", "walrus", "delta nine", "umbra")
]  # fmt: skip
SENTENCES = (
    "Please tell me about {} before noon.",
    "{}",
    "I said: {}, and nobody listened",
    "the word\n{}\nstood alone",
    "({})",
)
_SMALL = "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘǫʀꜱᴛᴜᴠᴡxʏᴢ"
_CYRILLIC = str.maketrans("aceopxyijsABCEHIKMOPTXS", "асеорхуіјѕАВСЕНІКМОРТХЅ")
_GREEK = str.maketrans("oviaptkABEHIKMNOPTXYZ", "ονιαρτκΑΒΕΗΙΚΜΝΟΡΤΧΥΖ")
_LEET = str.maketrans("aeiost", "431057")
_SIGNS = str.maketrans("ais", "@!$")


def _mapped(text, base, capital):
    """Letters moved to another alphabet of Unicode, as mathematical or circled ones."""
    return "".join(
        chr(base + ord(char) - ord("a")) if char.islower() and char.isascii()
        else chr(capital + ord(char) - ord("A")) if char.isupper() and char.isascii() else char
        for char in text
    )  # fmt: skip


def _b64(text):
    return base64.b64encode(text.encode()).decode()


def _halved(text, sign):
    """A sign in the middle of every longer word."""
    return re.sub(r"[a-z]{5,}", lambda word: word[0][: len(word[0]) // 2] + sign + word[0][len(word[0]) // 2 :], text)


DISGUISES = {
    "plain": lambda term: term,
    "capitals": str.upper,
    "alternating case": lambda term: "".join(c.upper() if i % 2 else c for i, c in enumerate(term)),
    "fullwidth": lambda term: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in term),
    "mathematical bold": lambda term: _mapped(term, 0x1D41A, 0x1D400),
    "mathematical fraktur bold": lambda term: _mapped(term, 0x1D586, 0x1D56C),
    "mathematical monospace": lambda term: _mapped(term, 0x1D68A, 0x1D670),
    "circled": lambda term: _mapped(term, 0x24D0, 0x24B6),
    "squared": lambda term: _mapped(term.upper(), 0x24D0, 0x1F130),
    "negative squared": lambda term: _mapped(term.upper(), 0x24D0, 0x1F170),
    "regional indicators": lambda term: _mapped(term.upper(), 0x24D0, 0x1F1E6),
    "small capitals": lambda term: "".join(_SMALL[ord(c) - 97] if "a" <= c <= "z" else c for c in term),
    "Cyrillic look-alikes": lambda term: term.translate(_CYRILLIC),
    "Greek look-alikes": lambda term: term.translate(_GREEK),
    "zero-width spaces": lambda term: "\u200b".join(term),
    "zero-width joiners": lambda term: "\u200d".join(term),
    "soft hyphens": lambda term: "\u00ad".join(term),
    "bidi controls": lambda term: "".join(f"\u202a{c}\u202c" for c in term),
    "variation selectors": lambda term: "".join(c + "\ufe0f" for c in term),
    "combining marks": lambda term: "".join(c + "\u0336\u0301" for c in term),
    "accents": lambda term: term.translate(str.maketrans("aeioun", "áèîöúñ")),
    "leet digits": lambda term: term.translate(_LEET),
    "leet signs": lambda term: term.translate(_SIGNS),
    "spelled with blanks": " ".join,
    "spelled with dots": ".".join,
    "spelled with hyphens": "-".join,
    "spelled with underscores": "_".join,
    "spelled with line breaks": "\n".join,
    "hyphen within words": lambda term: _halved(term, "-"),
    "dot within words": lambda term: _halved(term, "."),
    "letters four times": lambda term: "".join(c * 4 if c.isalpha() else c for c in term),
    "letters twice": lambda term: "".join(c * 2 if c.isalpha() else c for c in term),
    "last letter stretched": lambda term: term + term[-1] * 5,
    "hyphens for blanks": lambda term: term.replace(" ", "-"),
    "underscores for blanks": lambda term: term.replace(" ", "_"),
    "wide blanks": lambda term: term.replace(" ", " \u2003 "),
    "decimal entities": lambda term: "".join(f"&#{ord(c)};" for c in term),
    "hexadecimal entities": lambda term: "".join(f"&#x{ord(c):x};" for c in term),
    "entities twice": lambda term: "".join(f"&amp;#{ord(c)};" for c in term),
    "unicode escapes": lambda term: "".join(f"\\u{ord(c):04x}" for c in term),
    "braced escapes": lambda term: "".join(f"\\u{{{ord(c):x}}}" for c in term),
    "hexadecimal escapes": lambda term: "".join(f"\\x{ord(c):02x}" for c in term),
    "percent": lambda term: "".join(f"%{ord(c):02X}" for c in term),
    "percent twice": lambda term: "".join(f"%25{ord(c):02x}" for c in term),
    "base64": _b64,
    "base64 unpadded": lambda term: _b64(term).rstrip("="),
    "base64 URL-safe": lambda term: base64.urlsafe_b64encode(f"??>> {term} ~~".encode()).decode(),
    "base64 in lines": lambda term: "\n".join(textwrap.wrap(_b64(f"{term} and so on and on"), 16)),
    "base64 twice": lambda term: _b64(_b64(term)),
    "hexadecimal": lambda term: term.encode().hex(),
    "hexadecimal spaced": lambda term: term.encode().hex(" "),
    "hexadecimal with colons": lambda term: term.encode().hex(":"),
    "hexadecimal with 0x": lambda term: " ".join(f"0x{byte:02x}" for byte in term.encode()),
    "tag characters": lambda term: "".join(chr(0xE0000 + ord(c)) for c in term),
    "fullwidth in entities": lambda term: "".join(f"&#{ord(c) + 0xFEE0};" if c != " " else c for c in term),
    "leet and stretched": lambda term: "".join(c * 3 if c.isalpha() else c for c in term).translate(_LEET),
    "leet in base64": lambda term: _b64(term.translate(_LEET)),
}


_OF_WORDS = re.compile(r"leet|spelled|letters|last letter|\w+ within words|\w+ (for )?blanks")
WORDS_ALONE = {name for name in DISGUISES if _OF_WORDS.match(name)}
"""Disguises of words. An entry that begins or ends in a sign, as the markers of a chat template do, has no such disguise: the
model it is meant for would not know it any more."""


def entries():
    """Words, a list from each pack and one of invented names; and the packs' markers."""
    folder = Path(__file__).resolve().parents[2] / "policies"
    lists = [yaml.safe_load(path.read_text("utf-8"))["words"] for path in sorted(folder.glob("*.yaml"))]
    words = [[word for word in each if word[0].isalnum() and word[-1].isalnum()] for each in [*lists, NAMES]]
    return words, [word for each in lists for word in each if not (word[0].isalnum() and word[-1].isalnum())]


def hide(chosen, names):
    """How many disguises were tried, and those that were missed."""
    rules = tuple(hardened_rules("w", chosen, "[w]"))
    everywhere = (frozenset(Phase), frozenset(Scope))
    chain = Chain([Policy("p", Action.REDACT, Mode.ENFORCE, *everywhere, rules, match=Strictness.HARDENED)])
    dice = random.Random(11)
    misses, tried = [], 0
    for name in names:
        for term in chosen:
            hidden = DISGUISES[name](term)
            text = dice.choice(SENTENCES).format(hidden)
            whole = chain.inspect(Phase.RESPONSE, [(Scope.ASSISTANT, text, False)], Tally()).texts.get(0, text)
            streamed = stream(chain, oracle.cut(text, dice.choices(range(len(text) + 1), k=6)))
            assert whole == streamed
            tried += 2
            if hidden in whole:
                misses += [(name, term, hidden)] * 2
            else:
                assert _around(text, hidden, whole), f"{name}: {term}: {text!r} became {whole!r}"
    return tried, misses


def test_disguised_words_are_found():
    words, _ = entries()
    dice = random.Random(7)
    chosen = [word for each in words for word in dice.sample(each, min(len(each), -(-TERMS // 4)))][:TERMS]
    tried, misses = hide(chosen, DISGUISES)
    print(f"{tried} tried, {len(misses)} missed")
    assert len(misses) <= tried * 0.005, "\n".join(f"{name}: {term}: {hidden}" for name, term, hidden in misses)


def test_markers_are_found_however_they_are_written():
    _, markers = entries()
    tried, misses = hide(markers, [name for name in DISGUISES if name not in WORDS_ALONE])
    assert tried > 500
    assert misses == []


def _around(text, hidden, out):
    """Whether all around the disguise is as it was, and of it at most what is invisible, or signs, is left at its edges."""
    before, after = text.split(hidden)
    inner = out[len(before) : len(out) - len(after)]
    left = inner.replace("[w]", "", 1)
    return out.startswith(before) and out.endswith(after) and "[w]" in inner and not any(map(str.isalnum, left))


def stream(chain, pieces):
    track = chain.open(Phase.RESPONSE, Scope.ASSISTANT, Tally())
    ops = [op for piece in pieces for op in track.feed(piece)] + track.close()
    return apply(ops, "".join(pieces))
