"""The request on its way: what its route matches on, which of the client's headers go along, and who answered it."""

from __future__ import annotations

from typing import Final

from extproc import events
from extproc.exchange import headers as hygiene
from extproc.runtime import Group

DECISION: Final = "llm.extproc.decision"
"""Dynamic metadata the router filter writes: ``group`` (routes match on it), ``model``, ``id``."""
ATTEMPT: Final = "upstream.request_attempt_count"
"""The attribute in which Envoy counts attempts."""
UPSTREAM: Final = "llm.extproc.upstream"
"""Dynamic metadata the upstream filter writes: ``backend``, ``attempts``."""


def forward(
    headers: events.Headers, group: Group, model: str, request_id: str, sent: bytes | None
) -> events.ContinueBody:
    """Let a request go on to a group, under the model name the client's side knows.

    ``sent`` is its body where that is not what came. The header that the route is chosen by again changes with it.
    """
    changes: events.Pairs = (
        (hygiene.REROUTE, group.slug),
        *hygiene.TO_PROVIDERS,
        ("x-request-id", request_id),
    )
    if sent is not None:
        changes += (("content-length", str(len(sent))),)
    if group.only:
        changes += group.only.own_headers()
    return events.ContinueBody(
        sent,
        events.Mutation(
            set=changes,
            remove=hygiene.not_upstream(headers, group.passed),
            reroute=True,
            metadata={DECISION: {"group": group.slug, "model": model, "id": request_id}},
        ),
    )


def replied(group: Group | None, event: events.ResponseHeaders) -> tuple[str, int]:
    """Which backend of the group a request went to has answered, and at which attempt."""
    if group and group.only:
        return group.only.name, int(event.attributes.get(ATTEMPT, 1))
    upstream = event.metadata.get(UPSTREAM, {})
    return str(upstream.get("backend", "")), int(upstream.get("attempts", 0))
