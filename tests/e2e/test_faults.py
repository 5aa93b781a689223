"""Faults under fifty concurrent streams: no marked byte passes, every client has a defined end within ten seconds."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

import pytest

from tests.e2e.conftest import Start
from tests.e2e.faults import FAULTS, gone, harm, metric, probe, settled, until
from tests.e2e.gateway import Running
from tests.e2e.harness import free_port
from tests.e2e.traffic import LONGEST, TRAFFIC, Traffic, envoys, one, request, workers
from tests.e2e.upstream import Upstream, chunked, completion, event, respond, silent

pytestmark = [pytest.mark.envoy, pytest.mark.faults, pytest.mark.timeout(240 + 8 * FAULTS)]
CLIENTS = 50
AT_ONCE = 20
"""Faulty providers and clients beside the fifty."""


@pytest.fixture
def upstream(upstreams: dict[str, Upstream]) -> Upstream:
    return upstreams["a"]


# processes


def killed_mid_answer(gateway: Running, traffic: Traffic) -> int:
    """Each worker has a share of the open answers. Two of the four."""
    until(lambda: traffic.answering >= CLIENTS // 2, "half of the clients have an answer under way")
    harm(gateway, signal.SIGKILL, 2)
    return 2


def killed_mid_request(gateway: Running, traffic: Traffic) -> int:
    """They stand still until requests wait for them, and are killed then."""
    chosen = random.sample(workers(gateway), 2)
    for pid in chosen:
        os.kill(pid, signal.SIGSTOP)
    began = traffic.started
    with suppress(AssertionError):  # all clients wait already: as good
        until(lambda: traffic.started >= began + CLIENTS // 4 or all(map(gone, chosen)), timeout=1)
    for pid in chosen:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: all(map(gone, chosen)), "they have ended")
    return 2


def stopped(gateway: Running, _: Traffic) -> int:
    """Three of the four stand still, until the supervisor ends them."""
    harm(gateway, signal.SIGSTOP, 3)
    return 3


@pytest.mark.parametrize("fault", [killed_mid_answer, killed_mid_request, stopped])
def test_a_worker_is_harmed_under_load(
    alive: Running, upstream: Upstream, fault: Callable[[Running, Traffic], int]
) -> None:
    settled(alive)
    traffic = Traffic(alive, upstream, CLIENTS)
    done = 0
    while done < FAULTS:
        done += fault(alive, traffic)
        settled(alive)
    before = traffic.ends.counts["complete"]
    until(lambda: traffic.ends.counts["complete"] >= before + CLIENTS, "all is as before")
    ends = traffic.stop()
    ends.defined(f"{fault.__name__} × {done}")


def test_envoy_is_killed_and_comes_back_on_the_same_ports(start: Start, upstream: Upstream) -> None:
    alive = start("envoy-killed", processor={"workers": 2})
    settled(alive, 2)
    before = alive.ports["plain"]
    traffic = Traffic(alive, upstream, CLIENTS)
    for _ in range(FAULTS):  # started again ever later, if it dies again and again
        until(lambda: traffic.answering >= CLIENTS // 2, "half of the clients have an answer under way")
        restarts = metric(alive, 'extproc_restarts_total{process="envoy"}')
        os.kill(envoys(alive)[0], signal.SIGKILL)
        until(lambda: metric(alive, 'extproc_restarts_total{process="envoy"}') > restarts, "noticed")  # noqa: B023
        until(lambda: probe(alive, "/health/readiness") == 200, "ready again")
        settled(alive, 2)
    done = traffic.ends.counts["complete"]
    until(lambda: traffic.ends.counts["complete"] >= done + CLIENTS, "all is as before")
    traffic.stop().defined(f"Envoy killed × {FAULTS}")
    assert alive.ports["plain"] == before


async def hundred(gateway: Running) -> Counter[str]:
    """How a hundred new requests end, four at a time."""

    async def client() -> list[str]:
        return [classified(await one(gateway.ports["plain"], request(stream=False))) for _ in range(25)]

    return Counter(each for found in await asyncio.gather(*(client() for _ in range(4))) for each in found)


def classified(found: tuple[str, bytes]) -> str:
    return "200" if found[1].startswith(b"HTTP/1.1 200") else found[0]


@pytest.mark.native
def test_after_a_kill_hardly_a_request_fails(alive: Running, upstream: Upstream) -> None:
    failed = []
    upstream.on(TRAFFIC, respond(200, completion("Hello.")))
    for _ in range(FAULTS):
        settled(alive)
        # Envoy counts the failures of a worker since its last success
        until(lambda: asyncio.run(hundred(alive)) == {"200": 100}, "all is well before")
        harm(alive, signal.SIGKILL)
        failed.append(100 - asyncio.run(hundred(alive))["200"])
    print(f"\nfailed of a hundred after a kill: {failed}")
    assert max(failed) <= 1, failed


# providers and clients

PART = event({"content": "MARKED-"})
HALF = b'data: {"choices": [{"index": 0, "delta": {"content": "MARKED-PERSON@leak'
PROVIDERS = {
    "fault-reset": chunked(200, [PART] * 3, then="reset"),
    "fault-silent": silent,
    "fault-silent-later": chunked(200, [PART], then="hang"),
    "fault-half": chunked(200, [PART, HALF], then="hang"),
    "fault-half-closed": chunked(200, [PART, HALF], then="close"),
}
ENDS = {"error event", "error 502", "error 503", "error 504", "cut"}


async def refused(port: int) -> tuple[str, bytes]:
    return await one(port, request("refused", model="gone"))


def asks(request_id: str) -> Callable[[int], Awaitable[tuple[str, bytes]]]:
    async def ask(port: int) -> tuple[str, bytes]:
        return await one(port, request(request_id))

    ask.__name__ = request_id
    return ask


async def leaves(port: int) -> tuple[str, bytes]:
    """Disconnects in the middle of its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request())
    seen = await reader.read(500)
    writer.transport.abort()
    return "left", seen


async def leaves_early(port: int) -> tuple[str, bytes]:
    """Disconnects in the middle of its request."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    payload = request()
    writer.write(payload[: random.randrange(1, len(payload))])
    await writer.drain()
    writer.transport.abort()
    return "left", b""


async def half_closes(port: int) -> tuple[str, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request())
    writer.write_eof()
    seen = b""
    with suppress(ConnectionError):
        seen = await reader.read(-1)
    writer.close()
    return "left", seen


async def reads_slowly(port: int) -> tuple[str, bytes]:
    """A byte a second for a while, then it leaves."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    sock.setblocking(False)
    loop, seen = asyncio.get_running_loop(), b""
    with sock:
        await loop.sock_connect(sock, ("127.0.0.1", port))
        await loop.sock_sendall(sock, request())
        for _ in range(3):
            seen += await loop.sock_recv(sock, 1)
            await asyncio.sleep(1)
    return "left", seen


@pytest.fixture(scope="module")
def steady(start: Start) -> Iterator[Running]:
    models = {"gpt-*": {"backends": ["alpha"], "idle_timeout": "3s", "first_byte_timeout": "3s"}, "gone": "gone"}
    providers = {
        "gone": {"type": "openai-compatible", "base_url": f"http://127.0.0.1:{free_port()}/v1", "keys": "none"}
    }
    gateway = start("steady", processor={"workers": 2, "keep_alive": "1s"}, models=models, providers=providers)
    yield gateway
    assert not [line for line in gateway.lines() if line["event"] in ("worker-ended", "envoy-ended", "internal-error")]
    assert "Traceback" not in gateway.errors()


FAULTY = [refused, *map(asks, PROVIDERS), leaves, leaves_early, half_closes, reads_slowly]


@pytest.mark.parametrize("fault", FAULTY, ids=lambda each: each.__name__)
def test_providers_and_clients_that_fail(steady: Running, upstream: Upstream, fault) -> None:
    for name, behaviour in PROVIDERS.items():
        upstream.on(name, behaviour)
    traffic = Traffic(steady, upstream, CLIENTS)
    port, found = steady.ports["plain"], []

    async def several() -> None:
        async def each() -> None:
            while len(found) < FAULTS:
                found.append(("", b""))  # taken
                place = len(found) - 1
                async with asyncio.timeout(LONGEST + 5):
                    found[place] = await fault(port)

        await asyncio.gather(*(each() for _ in range(AT_ONCE)))

    until(lambda: traffic.answering >= CLIENTS // 2, "half of the clients have an answer under way")
    asyncio.run(several())
    ends = traffic.stop()
    until(lambda: steady.stat("http.plain.downstream_rq_active") == 0, "no request is open")
    kinds = Counter(end for end, _ in found)
    ends.defined(f"{fault.__name__} × {len(found)} {dict(kinds)}")
    assert ends.counts == {"complete": ends.total}, "others were hurt"
    assert not [seen for _, seen in found if b"@leak" in seen or b"MARKED-P" in seen]
    assert set(kinds) <= ENDS | {"left"}, kinds
