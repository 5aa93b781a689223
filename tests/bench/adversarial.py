"""What texts made to be slow cost: 1 MiB for each type of personal data and each family of secrets, in CPU time.

For every type its samples, pieces of them and rows of digits, each over and over; the scanner looks for that type alone.
Prints the slowest text of each type, slowest first, and how many texts took longer than the limit.

Usage: python -m tests.bench.adversarial [--only TEXT] [--limit MS] [--repeat N] [--all]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence

from extproc.policy.api import Action, Mode, Phase, Policy, Scope
from extproc.policy.kinds.base import Context
from extproc.policy.kinds.secrets import Secrets
from extproc.policy.pii.catalogue import TYPES
from extproc.policy.rules import Rule
from extproc.policy.scanner import Scanner
from extproc.policy.secrets import families
from tests.detect import made
from tests.personal import SAMPLES

MIB = 1 << 20
ROWS = (
    "1", "1 ", "12 ", "12-", "123 ", "1234 ", "4111 ", "4111-", "2341 ", "1234 5678 ", "4111 1111 ", "123 456 7890 ",
    "943 476 5870 ", "0123 ", "+1", "+49 ", "01 ", "(0", "a", "a@", "a.", "1.", "1:", "0x", "::", "A1", "AB12 ",
)  # fmt: skip
"""Units that are a type's own only by chance."""


def policy(rules: Sequence[Rule]) -> Policy:
    """These rules for every text."""
    return Policy("p", Action.REDACT, Mode.ENFORCE, frozenset(Phase), frozenset(Scope), tuple(rules))


def scanner(found: Policy) -> Scanner:
    """What scans for this policy alone."""
    return Scanner(tuple((found, rule) for rule in found.rules))


def broken(text: str) -> Iterator[str]:
    """A sample that stands alone, without its end, damaged, and its beginning."""
    yield text
    yield text + " "
    yield text[:-1] + " "
    yield text[: len(text) // 2]
    yield text[: len(text) // 3 + 1]


def personal() -> Iterator[tuple[str, Scanner, list[str]]]:
    """Types of personal data with their texts' units."""
    for name, shapes in TYPES.items():
        units = {each for sample in SAMPLES[name] for each in broken(sample.replace("|", ""))}
        yield name, scanner(policy([shape.rule(name, "*") for shape in shapes])), sorted({*units, *ROWS})


def secret() -> Iterator[tuple[str, Scanner, list[str]]]:
    """Families of secrets with their texts' units."""
    texts = list(made.every(1))
    for name in [family.name for family in families()]:
        found = Secrets.model_validate({"kind": "secrets", "find": [name]}).compile("secrets", Context())
        units = {each for label, text in texts if label == name and len(text) < 2000 for each in broken(text)}
        yield name, scanner(found), sorted(units)


def spent(looking: Scanner, unit: str, repeat: int) -> tuple[float, int]:
    """Milliseconds for 1 MiB of a unit, the least of some runs, and how many matches there are."""
    text = (unit * (MIB // len(unit.encode()) + 1)).encode()[:MIB].decode(errors="ignore")
    least, count = 1e9, 0
    for _ in range(repeat):
        begun = time.process_time()
        count = len(looking.scan(text))
        least = min(least, time.process_time() - begun)
    return least * 1e3, count


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", metavar="TEXT", help="types and families with this in their name")
    parser.add_argument("--limit", type=float, default=50, metavar="MS")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--all", action="store_true", help="print every text beyond the limit")
    options = parser.parse_args()
    rows: list[tuple[float, int, str, str]] = []
    for name, looking, units in (*personal(), *secret()):
        if options.only in name:
            looking.scan(" ".join(units))  # what is made when first needed
            mine = [(*spent(looking, unit, options.repeat), name, unit) for unit in units if unit]
            rows += mine if options.all else sorted(mine)[-1:]
            slow = sum(each[0] > options.limit for each in mine)
            print(f"{name:22} {len(mine):4} texts, {slow:3} beyond {options.limit:g} ms", flush=True)
    for taken, count, name, unit in sorted(rows, reverse=True):
        if taken > options.limit or not options.all:
            print(f"{taken:8.1f} ms {count:7} matches  {name:22} {unit[:60]!r}")


if __name__ == "__main__":
    main()
