"""What seeing through disguises costs: a Lenses object on texts, in CPU time, the least of many runs.

Usage: python -m tests.bench.lenses [--repeat N]
"""

from __future__ import annotations

import argparse
import base64
import time
from collections.abc import Callable
from functools import partial

from extproc.policy import packs
from extproc.policy.api import Action, Mode, Phase, Policy, Scope, Strictness, Tally
from extproc.policy.chain import Chain
from extproc.policy.hardened import hardened_rules
from extproc.policy.pii.catalogue import TYPES, expand
from extproc.policy.rules import Rule
from extproc.policy.words import WordRule
from tests.bench.core import ENGLISH, GERMAN, text

MIB = 1 << 20
PACKS = ("profanity", "prompt-injection")


def chain(match: Strictness) -> Chain:
    """Two packs and personal data."""
    hard = match is Strictness.HARDENED
    words = {name: packs.load(name).words for name in PACKS}
    rules: dict[str, tuple[Rule, ...]] = {
        name: tuple(hardened_rules(name, found, "*")) if hard else (WordRule(name, found, "*"),)
        for name, found in words.items()
    }
    rules["pii"] = tuple(shape.rule(kind, "*") for kind in expand(["default"]) for shape in TYPES[kind])
    everywhere = (frozenset(Phase), frozenset(Scope))
    return Chain(
        [Policy(name, Action.REDACT, Mode.ENFORCE, *everywhere, each, match=match) for name, each in rules.items()]
    )


def spent(function: Callable[[], object], repeat: int) -> float:
    """Seconds."""
    least = 1e9
    for _ in range(repeat):
        begun = time.process_time()
        function()
        least = min(least, time.process_time() - begun)
    return least


def streamed(guards: Chain, pieces: list[str]) -> float:
    track = guards.open(Phase.RESPONSE, Scope.ASSISTANT, Tally())
    assert track
    begun = time.process_time()
    for piece in pieces:
        track.feed(piece)
    track.close()
    return (time.process_time() - begun) / len(pieces)


ADVERSARIAL = {
    "&": "&" * MIB,
    "%": "%" * MIB,
    "AAAA": "A" * MIB,
    "a.a.": "a." * (MIB // 2),
    "zero-width": "\u200b" * MIB,
    "p p ": "p " * (MIB // 2),
    "leet digits": "1337" * (MIB // 4),
    "entities": "&#105;" * (MIB // 6),
    "base64": base64.b64encode(b"hello world, " * (MIB * 3 // 52)).decode(),
    "hexadecimal": "61" * (MIB // 2),
    "pen is": "pen is " * (MIB // 7),
    "as ss": "as s" * (MIB // 4),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=300)
    repeat = parser.parse_args().repeat
    pieces = [f" {word}" for word in text(ENGLISH, 6000).split(" ")]
    for match in (Strictness.EXACT, Strictness.HARDENED):
        guards = chain(match)
        guard = guards.guard(Phase.RESPONSE, Scope.ASSISTANT)
        assert guard
        for name, sample in {"1 KB English": text(ENGLISH, 1000), "1 KB German": text(GERMAN, 1000)}.items():
            print(f"{match:9} {name:14} {spent(partial(guard.enforce.scan, sample), repeat) * 1e6:9.1f} µs")
        print(f"{match:9} {'a word':14} {min(streamed(guards, pieces) for _ in range(5)) * 1e6:9.1f} µs")
        for name, sample in {
            "1 MiB English": text(ENGLISH, MIB),
            "1 MiB German": text(GERMAN, MIB),
            **ADVERSARIAL,
        }.items():
            print(f"{match:9} {name:14} {spent(partial(guard.enforce.scan, sample), 3) * 1e3:9.1f} ms", flush=True)


if __name__ == "__main__":
    main()
