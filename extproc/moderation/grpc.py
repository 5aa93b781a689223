"""A moderation service of one's own over gRPC: ``protos/moderator.proto``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import grpc

from extproc._pb import moderator_pb2 as pb
from extproc.errors import ConfigError
from extproc.moderation.api import About, Finding, Mark, Moderation, ModerationError, Text, label
from extproc.moderation.chunks import Limits

METHOD: Final = "/llm.extproc.moderator.v1.Moderator/Judge"
ANSWER_MAX: Final = 1 << 20
"""Bytes of an answer; more is an error."""

_OURS: Final = frozenset(
    {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.FAILED_PRECONDITION}
)
"""Statuses that may depend on what was asked."""

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", ANSWER_MAX),
    ("grpc.enable_http_proxy", 0),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)


class Grpc:
    """Makes single calls. ``grpc://HOST:PORT`` and ``unix:PATH`` are without TLS, ``grpcs://HOST:PORT`` with."""

    limits = Limits(texts=64, characters=16_000, total=64_000)

    def __init__(self, moderation: Moderation) -> None:
        self._channel = _channel(moderation)
        self._judge = self._channel.unary_unary(
            METHOD,
            request_serializer=pb.JudgeRequest.SerializeToString,
            response_deserializer=pb.JudgeResponse.FromString,
        )
        self._metadata = tuple(("authorization", f"Bearer {key}") for key in moderation.keys)
        self._wanted = moderation.categories

    async def ask(self, texts: Sequence[Text], about: About) -> list[Finding]:
        """See ``client.Service``."""
        request = pb.JudgeRequest(
            request_id=about.request_id,
            phase=about.phase.value,
            categories=self._wanted,
            texts=[pb.Text(scope=each.scope.value, role=each.role, text=each.text) for each in texts],
        )
        status: Any = None
        try:
            answer = await self._judge(request, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            status = error.code()
        if status is not None:  # outside, so that what the service said hangs on nothing
            raise ModerationError("the service cannot be reached, or refused", outage=status not in _OURS)
        if len(answer.findings) != len(texts):
            raise ModerationError("the service did not answer for every text")
        return [self._finding(each, text.text) for each, text in zip(answer.findings, texts, strict=True)]

    def _finding(self, finding: pb.Finding, text: str) -> Finding:
        scores = {label(name): score for name, score in finding.scores.items()}
        if not set(self._wanted) <= scores.keys() or not all(0.0 <= score <= 1.0 for score in scores.values()):
            raise ModerationError("the service's answer is not what it should be")
        marks = tuple(_marks(finding.marks, scores, len(text)))
        return Finding(finding.flagged, scores, tuple(label(name) for name in finding.labels), marks)

    async def aclose(self) -> None:
        """See ``client.Service``."""
        await self._channel.close()


def _marks(marks: Iterable[pb.Mark], scores: dict[str, float], length: int) -> Iterable[Mark]:
    for each in marks:
        if not each.start < each.end <= length:
            raise ModerationError("the service found something beyond the text")
        name = label(each.label)
        replacement = each.replacement if each.HasField("replacement") else None
        yield Mark(each.start, each.end, name, scores.get(name, 1.0), replacement)


def _channel(moderation: Moderation) -> grpc.aio.Channel:
    parts = urlsplit(moderation.url)
    if parts.scheme == "unix":
        return grpc.aio.insecure_channel(f"unix:{parts.path}", options=_OPTIONS)
    if parts.scheme == "grpc":
        return grpc.aio.insecure_channel(parts.netloc, options=_OPTIONS)
    try:
        roots = Path(moderation.ca).read_bytes() if moderation.ca else None
    except OSError:
        raise ConfigError(f"{moderation.ca} cannot be read") from None
    credentials = grpc.ssl_channel_credentials(root_certificates=roots)
    return grpc.aio.secure_channel(parts.netloc, credentials, options=_OPTIONS)
