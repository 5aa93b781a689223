"""The request on its way: what its route matches on, which of the client's headers go along, and who answered it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from extproc import events
from extproc.errors import Refused
from extproc.exchange import headers as hygiene
from extproc.exchange.planning import Plan, Wanted
from extproc.groups import Backend, Group
from extproc.providers.api import NotReady
from extproc.providers.credentials import ClientKey

DECISION: Final = "llm.extproc.decision"
"""Dynamic metadata the router filter writes: ``group`` (routes match on it). Where upstream filters read it also what is
wanted, and of the body its ``length`` and ``media`` type: the headers that say so are those of the attempt before, if any."""
ATTEMPT: Final = "upstream.request_attempt_count"
"""The attribute in which Envoy counts attempts."""
UPSTREAM: Final = "llm.extproc.upstream"
"""Dynamic metadata the upstream filter writes: ``backend``, ``attempts``, ``format``, ``losses``."""
SUBSET: Final = "envoy.lb"
"""Dynamic metadata that limits which backends Envoy may choose."""


@dataclass(slots=True)  # not frozen: see ``events``
class Sent:
    """A request as it goes on. Nobody changes it.

    ``body`` is None where it is what came, ``whole`` what goes on in any case; ``plans`` are the backends that can serve it.
    ``usage``: the client wants a stream's usage; ``hides``: it was asked for all the same.
    ``headers`` are those that policies set.
    """

    group: Group
    wanted: Wanted
    plans: list[Plan]
    request_id: str
    body: bytes | None
    whole: bytes
    usage: bool = True
    hides: bool = False
    media: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def only(self) -> Plan | None:
        """The plan for the only backend of the group."""
        return self.plans[0] if self.group.only else None


def forward(
    headers: events.Headers, sent: Sent, now: float, *, bare: bool = False
) -> events.ContinueBody | events.ContinueRequest:
    """Let a request go on to a group. The header that the route is chosen by again changes with it.

    ``bare``: it has no body, so that this answers its headers.

    Raises:
        Refused: the provider's credentials are not there yet.
    """
    group = sent.group
    changes: events.Pairs = (
        *sent.headers.items(),  # first: what comes after overwrites them
        (hygiene.REROUTE, group.slug),
        *hygiene.to_providers(sent.media),
        ("x-request-id", sent.request_id),
    )
    if sent.body is not None:
        changes += (("content-length", str(len(sent.body))),)
    passed = group.passed
    decision: dict[str, Any] = {"group": group.slug}
    if only := sent.only:  # no upstream filter is asked
        said = attempt(only, headers, sent.whole, now)
        changes += said
        if unsaid := only.backend.credentials - own(only.backend, said):
            passed -= unsaid
    else:
        decision |= {"length": len(sent.whole), "media": sent.media, **sent.wanted.told()}
        if group.client_key:  # the route lets it pass, in the header of the one provider it is for
            changes += next((_given(backend, headers) for backend in group.backends if backend.client_key), ())
    metadata: dict[str, Mapping[str, Any]] = {DECISION: decision}
    if len(sent.plans) < len(group.backends):
        metadata[SUBSET] = {"serves": group.subset(plan.backend for plan in sent.plans)}
    remove = hygiene.not_upstream(headers, passed.union(sent.headers) if sent.headers else passed)
    if not sent.media and "content-type" in headers:
        remove += ("content-type",)
    mutation = events.Mutation(set=changes, remove=remove, reroute=True, metadata=metadata)
    return events.ContinueRequest(mutation) if bare else events.ContinueBody(sent.body, mutation)


def attempt(plan: Plan, headers: events.Headers, body: bytes, now: float) -> events.Pairs:
    """What an attempt says: where it goes, and with what credential.

    Raises:
        Refused: the provider's credentials are not there yet.
    """
    backend, credential = plan.backend, plan.backend.credential
    said: events.Pairs = (*plan.says, *backend.profile.headers(headers))
    if credential is None:
        return said
    if isinstance(credential, ClientKey):
        return (*said, *_given(backend, headers))
    at = datetime.datetime.fromtimestamp(now, datetime.UTC)
    try:
        return (*said, *credential.headers(headers.get(":method", "POST"), backend.authority, plan.target, body, at))
    except NotReady:
        message = "The gateway has no credentials of this provider yet."
        raise Refused(503, "credentials_not_ready", message, "api_error") from None


def own(backend: Backend, said: events.Pairs) -> frozenset[str]:
    """The credential headers that an attempt says, of those its credential may: what stands in the others is not its own."""
    names = backend.credentials
    return names if backend.client_key or len(names) < 2 else names & {name for name, _ in said}


def _given(backend: Backend, headers: events.Headers) -> events.Pairs:
    credential = backend.credential
    return credential.given(headers) if isinstance(credential, ClientKey) else ()


@dataclass(slots=True)
class Replied:
    """Who has answered, at which attempt, and in which format; ``losses`` are those of the request."""

    backend: str
    attempts: int
    format: str
    losses: tuple[str, ...] = ()


def replied(sent: Sent | None, event: events.ResponseHeaders) -> Replied:
    """Which backend of the group a request went to has answered."""
    if sent and sent.only:
        plan = sent.only
        return Replied(plan.backend.name, int(event.attributes.get(ATTEMPT, 1)), plan.call.format)
    upstream = event.metadata.get(UPSTREAM, {})
    losses = upstream.get("losses", "")
    return Replied(
        str(upstream.get("backend", "")),
        int(upstream.get("attempts", 0)),
        str(upstream.get("format", "")),
        tuple(str(losses).split("; ")) if losses else (),
    )
