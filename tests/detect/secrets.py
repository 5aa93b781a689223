"""Secrets: recall on labelled and on made-up ones, false alarms on labelled near-misses and on ordinary texts.

Usage: python -m tests.detect secrets
"""

import json
from functools import cache

from extproc.policy.kinds.base import Context
from extproc.policy.kinds.secrets import Secrets
from extproc.policy.scanner import Scanner
from tests.detect.made import every
from tests.detect.table import Row
from tests.support import data

NOTES = "texts with one secret or a near-miss (labelled, then made up by shape), and ordinary texts"
OTHERS = frozenset({"ip_public"})
"""What the labelled data counts as a secret and we as personal data."""
_BENIGN = ("gsm8k_test", "notinject_one")


@cache
def scanner():
    """The kind as users get it."""
    policy = Secrets.model_validate({"kind": "secrets"}).compile("secrets", Context())
    return Scanner(tuple((policy, rule) for rule in policy.rules))


def labels(text):
    """Families found in a text."""
    return {scanner().rule(match).label for match in scanner().scan(text)}


def labelled():
    """One row a family of the labelled data."""
    rows = {}
    for line in (data("secrets") / "detect_secrets_cases.jsonl").read_text("utf-8").splitlines():
        case = json.loads(line)
        if case["plugin"] not in OTHERS:
            row = rows.setdefault(case["plugin"], Row(f"labelled {case['plugin']}"))
            row.add(case["text"], positive=case["secret"], hit=bool(labels(case["text"])))
    return list(rows.values())


def benign():
    """One row a file of ordinary texts."""
    rows = [Row(f"benign {name}") for name in _BENIGN]
    for row, name in zip(rows, _BENIGN, strict=True):
        for line in (data("benign") / f"{name}.jsonl").read_text("utf-8").splitlines():
            text = json.loads(line)["text"]
            row.add(text, positive=False, hit=bool(labels(text)))
    return rows


def shaped(seeds=10):
    """One row a family of ours: made-up secrets, found under the family's own name."""
    rows = {}
    for seed in range(seeds):
        for family, text in every(seed):
            rows.setdefault(family, Row(f"made {family}")).add(text, positive=True, hit=family in labels(text))
    return list(rows.values())


def rows():
    """Everything."""
    return [*labelled(), *benign(), *shaped()]
