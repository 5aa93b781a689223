"""Counting what a provider says it used: numbers only, whatever stands there."""

import pytest

from extproc.chat.answer import Usage
from extproc.formats import counts


@pytest.mark.parametrize(
    ("value", "expected"),
    [(7, 7.0), (0, 0.0), (8.25, 8.25), (-1, None), (True, None), ("7", None), (None, None), (1e12, None)],
)
def test_seconds(value, expected):
    found = counts.seconds(value)
    assert found == (None if expected is None else Usage(seconds=expected))


def test_tokens():
    usage = {"input_tokens": 3, "output_tokens": 2, "input_token_details": {"audio_tokens": 1}}
    assert counts.tokens(usage) == Usage(input=3, output=2, audio_input=1)
    assert counts.tokens({"input_tokens": True, "output_tokens": -2, "input_token_details": []}) == Usage()
    assert counts.tokens({"seconds": 3}) is counts.tokens([]) is counts.tokens(None) is None
