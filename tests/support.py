"""What all tests share: where the external test data is."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def data(name):
    """A file or folder of the external test data; skips the test where there is none."""
    folder = Path(os.environ.get("EXTPROC_TEST_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("the external test data is not here (EXTPROC_TEST_DATA)")
    return folder / name
