"""A worker that loops for ever on one request: it is ended, says where it was, and takes hardly anyone with it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.authority import Authority
from tests.e2e.faults import FAULTS, settled, until
from tests.e2e.gateway import Running
from tests.e2e.harness import KEYS, config
from tests.e2e.traffic import Traffic, one, request
from tests.e2e.upstream import Upstream, completion, respond

pytestmark = [pytest.mark.envoy, pytest.mark.faults, pytest.mark.timeout(240 + 20 * FAULTS)]
CLIENTS = 50
LOOPS = FAULTS // 2
"""Each takes as long as a stalled worker is given."""
MAGIC = "MAGIC-WORD-MARKER-77"
SITE = f'''
import sys
if "extproc.worker" in " ".join(sys.orig_argv):
    from extproc import service

    def wrapped(session, data, real=service.Session.message):
        if b"{MAGIC}" in data:
            while True:
                pass
        return real(session, data)

    service.Session.message = wrapped
'''
"""Python runs this when it starts; every transport comes by there."""


@pytest.fixture
def looping(upstreams: dict[str, Upstream], authority: Authority, tmp_path: Path) -> Iterator[Running]:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE)
    value = config(upstreams, authority.pem, processor={"workers": 3, "message_timeout": "5s"})
    gateway = Running(value, tmp_path / "gateway", {**KEYS, "PYTHONPATH": f"{site}{os.pathsep}{Path.cwd()}"})
    yield gateway
    gateway.stop()


def test_a_worker_that_loops_for_ever_is_ended_and_says_where(looping: Running, upstreams: dict[str, Upstream]) -> None:
    upstream = upstreams["a"]
    upstream.on("loop", respond(200, completion("Hello.")))
    poison = request("loop", stream=False, text=MAGIC)
    traffic = Traffic(looping, upstream, CLIENTS)
    ended = []
    for _ in range(LOOPS):
        settled(looping)
        until(lambda: traffic.answering >= CLIENTS // 2, "half of the clients have an answer under way")
        before = looping.errors().count(" in wrapped")
        end, seen = asyncio.run(one(looping.ports["plain"], poison))
        assert end.startswith("error 50"), (end, seen)
        ended.append(looping.errors().count(" in wrapped") - before)
    settled(looping)
    done = traffic.ends.counts["complete"]
    until(lambda: traffic.ends.counts["complete"] >= done + CLIENTS, "all is as before")
    traffic.stop().defined(f"a loop that never ends × {LOOPS}, which ended {ended} workers each")
    assert 1 <= max(ended) <= 2, "one request is tried at two workers at most: it must not take all of them down"
    assert 'sitecustomize.py", line' in looping.errors()
    assert MAGIC not in looping.everything()
