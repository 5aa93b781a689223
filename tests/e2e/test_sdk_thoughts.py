"""Thoughts that a model has signed, sent back with what a tool gave: as they were, or not at all."""

from __future__ import annotations

import pytest

from tests.e2e.matrix import BACKENDS, Matrix, public
from tests.e2e.scenes import MAIL, SCENES
from tests.e2e.sdk import CLIENTS

OWN = {
    ("anthropic messages", "anthropic"), ("anthropic messages", "vertex claude"), ("boto3 converse", "bedrock claude"),
    ("boto3 converse", "bedrock nova"), ("boto3 converse", "bedrock key"), ("boto3 invoke", "bedrock claude"),
}  # fmt: skip
"""Clients of the provider's own API: thoughts go back to it."""


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_tool_after_thoughts(matrix: Matrix, client: str, backend: str, stream: bool) -> None:
    """The fakes refuse thoughts that are not what they signed, and thinking that goes on with none."""
    said = matrix.clients[client].ask(public(client, backend), "pondered", stream)
    assert said.text == SCENES["result"].text.replace(MAIL, "[email]")
    _first, second = matrix.received(backend)
    assert b"scene-result" in second.body
    if (client, backend) in OWN:
        assert SCENES["ponder"].thought.encode() in second.body
