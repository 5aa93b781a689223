"""Providers' errors as each SDK raises them: its own class, the status, and words without what policies redact."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest
from botocore.exceptions import ClientError
from google.genai import errors

from tests.e2e.matrix import BACKENDS, Matrix, public
from tests.e2e.scenes import ERRORS, MAIL
from tests.e2e.sdk import CLIENTS

RAISED: dict[tuple[str, str], Any] = {
    ("openai", "limited"): openai.RateLimitError,
    ("openai", "wrong"): openai.BadRequestError,
    ("openai", "broken"): openai.InternalServerError,
    ("anthropic", "limited"): anthropic.RateLimitError,
    ("anthropic", "wrong"): anthropic.BadRequestError,
    ("anthropic", "broken"): anthropic.InternalServerError,
    ("google-genai", "limited"): errors.ClientError,
    ("google-genai", "wrong"): errors.ClientError,
    ("google-genai", "broken"): errors.ServerError,
}
CODES = {"limited": "ThrottlingException", "wrong": "ValidationException", "broken": "InternalServerException"}


def told(client: str, raised: Any) -> tuple[int, str]:
    """Status and words of an SDK's exception."""
    if isinstance(raised, ClientError):
        return raised.response["ResponseMetadata"]["HTTPStatusCode"], raised.response["Error"]["Message"]
    if client == "google-genai":
        return raised.code, str(raised.message)
    return raised.status_code, str(raised)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("scene", ERRORS)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("client", CLIENTS)
def test_an_error(matrix: Matrix, client: str, backend: str, scene: str, stream: bool) -> None:
    kind = RAISED.get((client.partition(" ")[0], scene), ClientError)
    with pytest.raises(kind) as raised:
        matrix.clients[client].ask(public(client, backend), scene, stream)
    status, words = told(client, raised.value)
    assert status == ERRORS[scene]
    assert "not so, [email]" in words
    assert MAIL not in repr(vars(raised.value))
    if kind is ClientError:
        assert raised.value.response["Error"]["Code"] == CODES[scene]
    assert len(matrix.received(backend)) == 1
