"""What all tests share: where the external test data is, and how a whole text is redacted."""

import os
from pathlib import Path

import pytest

from extproc.policy.scanner import Op, lay

ROOT = Path(__file__).parents[1]


def data(name):
    """A file or folder of the external test data; skips the test where there is none."""
    folder = Path(os.environ.get("EXTPROC_TEST_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("the external test data is not here (EXTPROC_TEST_DATA)")
    return folder / name


def edits(scanner, matches, length):
    """The operations that redact a whole text of this length."""
    ops = []
    cursor = lay(scanner, matches, 0, ops)
    return [*ops, Op(length - cursor)] if cursor < length else ops
