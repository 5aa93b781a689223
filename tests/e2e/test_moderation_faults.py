"""A moderation service that hangs, refuses, babbles, breaks off or is not there: a defined end in time, and no leak."""

from __future__ import annotations

import time

import pytest

from tests.e2e.firewall import DEADLINE, FAULTS, SLACK
from tests.e2e.harness import Case
from tests.e2e.upstream import chunked, completion, events

GOOD = "MARKER words enough for a window of this answer. "


def timed(case: Case, **more):
    begun = time.monotonic()
    answer = case.post(**more)
    assert time.monotonic() - begun < DEADLINE + SLACK
    return answer


def undecided(answer) -> None:
    assert answer.status_code == 503, answer.content
    assert answer.json()["error"]["code"] == "undecided"
    assert answer.headers["retry-after"] == "1"
    assert b"MARKER" not in answer.content


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("place", ["before", "parallel", "answer"])
@pytest.mark.parametrize("fault", FAULTS)
def test_it_is_undecided_or_allowed(guarded: Case, fault: str, place: str, stream: bool) -> None:
    sent = events(GOOD, GOOD) if stream else [completion(GOOD)]
    guarded.on(chunked(200, sent, [("content-type", "text/event-stream" if stream else "application/json")]))
    undecided(timed(guarded, model=f"gpt-{fault}-{place}-block", stream=stream))
    if place == "before":
        guarded.nothing_sent()
    line = guarded.log()
    assert (line["end"], line["error"], line["status"]) == ("refused", "undecided", 503)
    allowed = timed(guarded, model=f"gpt-{fault}-{place}-allow", stream=stream)
    assert (allowed.status_code, allowed.content.replace(b": keep-alive\n\n", b"")) == (200, b"".join(sent))
