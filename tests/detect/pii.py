"""How much personal data is found, and how often something else is: by type, on the external labelled data.

Three sources: texts with labelled spans, sentences that name the one type they hold, and templates whose places are
filled with values made here. The default types are measured as users get them; every other type by itself.

Usage: python -m tests.detect.pii [--misses]
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from extproc.policy.api import Action, Mode, Phase, Policy, Scope
from extproc.policy.pii.catalogue import DEFAULT, TYPES, expand
from extproc.policy.pii.checks import luhn, mod97
from extproc.policy.scanner import Scanner
from tests.support import data

Span = tuple[str, int, int]

NAMES = {
    "PHONE_NUMBER": "phone", "CREDIT_CARD": "card", "IP_ADDRESS": "ip", "EMAIL_ADDRESS": "email", "IBAN_CODE": "iban",
    "US_SSN": "us_ssn", "US_ITIN": "us_itin", "US_DRIVER_LICENSE": "us_driver", "US_PASSPORT": "us_passport",
    "US_BANK_NUMBER": "us_account", "ABA_ROUTING_NUMBER": "us_routing", "FIN": "sg_nric", "IN_PAN": "in_pan",
    "IN_PASSPORT": "in_passport",
}  # fmt: skip
"""Our types by the names of the labelled data."""
_PLACES = {
    "email": "email", "phone_number": "phone", "credit_card_number": "card", "iban": "iban", "ip_address": "ip",
    "ssn": "us_ssn", "us_driver_license": "us_driver", "date_of_birth": "birth_date",
}  # fmt: skip
_PLACE = re.compile(r"\{\{(\w+)\}\}")
_LITERAL = {
    "person": "Ann Lee",
    "name": "Ann Lee",
    "city": "Leeds",
    "country": "Norway",
    "address": "4 Elm Road, Leeds",
}


@dataclass
class Row:
    """Figures of one type: labelled values and how many of them were found, what was found and how much of it is labelled."""

    labelled: int = 0
    found: int = 0
    reported: int = 0
    right: int = 0
    misses: list[str] = field(default_factory=list)

    @property
    def recall(self) -> float:
        """Of the labelled values, those found (0 to 1)."""
        return self.found / self.labelled if self.labelled else 1.0

    @property
    def precision(self) -> float:
        """Of what was found, what is labelled (0 to 1)."""
        return self.right / self.reported if self.reported else 1.0


@cache
def scanner(*names: str) -> Scanner:
    """All shapes of these types."""
    rules = tuple(shape.rule(type_, "") for type_ in expand(names) for shape in TYPES[type_])
    policy = Policy("p", Action.REDACT, Mode.ENFORCE, frozenset(Phase), frozenset(Scope), rules)
    return Scanner(tuple((policy, rule) for rule in rules))


def labelled() -> Iterator[tuple[str, list[Span]]]:
    """Texts with the spans of our types in them."""
    for path in sorted(data("pii").glob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            record = json.loads(line)
            yield record["text"], [(NAMES[name], start, end) for name, start, end in record["spans"] if name in NAMES]


def sentences() -> Iterator[tuple[str, str]]:
    """(type, sentence) where a sentence holds at least one value of that type."""
    for path in sorted(data("pii").glob("*sentences*.txt")):
        lines = [line for line in path.read_text("utf-8").splitlines() if line.strip() and not line.startswith("#")]
        for name, sentence in zip(lines[::2], lines[1::2], strict=False):
            if name in NAMES and any(char.isdigit() for char in sentence):
                yield NAMES[name], sentence


def filled(times: int = 20) -> Iterator[tuple[str, list[Span]]]:
    """Templates with made values in their places."""
    dice = random.Random(5)
    for path in sorted(data("pii").glob("*templates*.txt")):
        lines = [line.replace("\\n", "\n") for line in path.read_text("utf-8").splitlines() if line.strip()]
        for line in lines:
            if any(name in _PLACES for name in _PLACE.findall(line)):
                for _ in range(times):
                    yield _fill(line, dice)


def _fill(template: str, dice: random.Random) -> tuple[str, list[Span]]:
    text, spans, at = "", [], 0
    for place in _PLACE.finditer(template):
        text += template[at : place.start()]
        type_ = _PLACES.get(place[1])
        value = MADE[type_](dice) if type_ else _LITERAL.get(place[1], "Alex")
        if type_:
            spans.append((type_, len(text), len(text) + len(value)))
        text, at = text + value, place.end()
    return text + template[at:], spans


def benign() -> list[str]:
    """Texts that hold no personal data."""
    return [
        json.loads(line)["text"]
        for path in sorted(data("benign").glob("*.jsonl"))
        for line in path.read_text("utf-8").splitlines()
    ]


def _number(dice: random.Random, shape: str) -> str:
    return "".join(
        dice.choice("0123456789") if char == "#" else dice.choice("23456789") if char == "%" else char for char in shape
    )


def _card(dice: random.Random) -> str:
    begin, length = dice.choice(
        [("4", 16), ("51", 16), ("55", 16), ("37", 15), ("6011", 16), ("3528", 16), ("36", 14), ("4", 13)]
    )
    body = begin + _number(dice, "#" * (length - len(begin) - 1))
    number = next(body + digit for digit in "0123456789" if luhn(body + digit))
    return " ".join(number[at : at + 4] for at in range(0, 16, 4)) if length == 16 and dice.random() < 0.2 else number


def _iban(dice: random.Random) -> str:
    country, shape = dice.choice([("DE", "#" * 18), ("GB", "WEST" + "#" * 14), ("FR", "#" * 23), ("NL", "ABNA" + "#" * 10),
                                  ("ES", "#" * 20), ("CH", "#" * 17), ("NO", "#" * 11), ("PL", "#" * 24)])  # fmt: skip
    account = _number(dice, shape)
    number = f"{country}{98 - mod97(account + country + '00'):02d}{account}"
    return " ".join(number[at : at + 4] for at in range(0, len(number), 4)) if dice.random() < 0.3 else number


_PHONES = (
    "+1-%##-%##-####", "(%##) %##-####", "%##-%##-####", "%##.%##.####x####", "001-%##-%##-####x###", "+44 20 7### ####",
    "07### ######", "+49 (0)30 #######", "030/#######", "+33 1 %# ## ## ##", "01 %# ## ## ##", "+91 9####-#####",
    "0%# %## ## ##", "(0%) #### ####", "+61 4## ### ###", "%% %## ## ##", "+81-3-####-####", "+55 11 9####-####",
    "0%#-%##-###", "+39 06 ########", "06-########", "4## ## ###", "0457-#######",
)  # fmt: skip

MADE = {
    "email": lambda dice: (
        f"{dice.choice(['ann.lee', 'bob', 'x_1', 'o’neil'.replace('’', '')])}{dice.randrange(99)}@"
        f"{dice.choice(['example.com', 'mail.example.co.uk', 'beispiel.de'])}"
    ),
    "phone": lambda dice: _number(dice, dice.choice(_PHONES)),
    "card": _card,
    "iban": _iban,
    "ip": lambda dice: (
        ".".join(str(dice.randrange(1, 255)) for _ in range(4))
        if dice.random() < 0.7
        else ":".join(f"{dice.randrange(1, 65535):x}" for _ in range(8))
    ),
    "us_ssn": lambda dice: _number(dice, "1##-%%-%###"),
    "us_driver": lambda dice: dice.choice("ABCDEFGH") + _number(dice, "#######"),
    "birth_date": lambda dice: f"{dice.randrange(1, 13)}/{dice.randrange(1, 28)}/{dice.randrange(1930, 2010)}",
}
"""Makers of values by type."""


def measure() -> dict[str, Row]:
    """Figures by type."""
    rows: dict[str, Row] = {}
    for text, spans in (*labelled(), *filled()):
        for type_ in {*DEFAULT, *(span[0] for span in spans)}:
            _count(rows.setdefault(type_, Row()), type_, text, [span for span in spans if span[0] == type_], spans)
    for type_, sentence in sentences():
        row = rows.setdefault(type_, Row())
        row.labelled += 1
        if _found(type_, sentence):
            row.found += 1
        else:
            row.misses.append(sentence)
    return rows


def _found(type_: str, text: str) -> list[tuple[int, int]]:
    return [(match.start, match.end) for match in scanner(type_).scan(text)]


def _count(row: Row, type_: str, text: str, wanted: list[Span], spans: list[Span]) -> None:
    found = _found(type_, text)
    row.labelled += len(wanted)
    for _, start, end in wanted:
        if any(first <= start and end <= last for first, last in found):
            row.found += 1
        else:
            row.misses.append(text[max(0, start - 30) : end + 10])
    row.reported += len(found)
    row.right += sum(any(start < last and first < end for _, start, end in spans) for first, last in found)


def touched() -> list[str]:
    """The benign texts in which the default types find something."""
    return [text for text in benign() if scanner("default").scan(text)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="tests.detect.pii", description="Recall and false alarms of personal data.")
    parser.add_argument("--misses", action="store_true", help="print what was not found")
    options = parser.parse_args()
    print(f"{'type':<14}{'labelled':>9}{'recall':>9}{'precision':>11}")
    for type_, row in sorted(measure().items()):
        if row.labelled or row.reported:
            print(f"{type_:<14}{row.labelled:>9}{row.recall:>9.1%}{row.precision:>11.1%}")
            for miss in row.misses if options.misses else []:
                print(f"    missed: {miss!r}")
    texts = benign()
    alarms = touched()
    print(f"benign texts touched by the default types: {len(alarms)} of {len(texts)} ({len(alarms) / len(texts):.2%})")
    for text in alarms if options.misses else []:
        print(f"    touched: {text!r}")


if __name__ == "__main__":
    main()
