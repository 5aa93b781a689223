"""Fakes, gateways and one ``Case`` a test: its own request id, by which fakes are scripted and logs are searched."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.e2e.authority import Authority
from tests.e2e.bounds import LIMIT, SLOW, some
from tests.e2e.faults import NATIVE, settled
from tests.e2e.firewall import Judge, start_firewall
from tests.e2e.foreign import PROVIDERS, Foreign
from tests.e2e.gateway import Chain, Running
from tests.e2e.harness import KEYS, MAX_BODY, Case, Start, config
from tests.e2e.matrix import Matrix
from tests.e2e.mixture import Mixed, start_mixture
from tests.e2e.upstream import Upstream

os.environ.setdefault(
    "GRPC_ENABLE_FORK_SUPPORT", "0"
)  # as the product does: we fork Envoy, its handlers would break that


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.envoy)
    others = [item for item in items if item.get_closest_marker("native") and not NATIVE]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def upstreams(authority: Authority) -> Iterator[dict[str, Upstream]]:
    found = {
        "a": Upstream("a"),
        "b": Upstream("b"),
        "tls_a": Upstream("tls_a", authority.context("localhost")),
        "tls_b": Upstream("tls_b", authority.context("127.0.0.1")),
    }
    for name, each in found.items():
        each.foreign_keys = (KEYS["KEY_B" if name.endswith("a") else "KEY_A"],)
    yield found
    for each in found.values():
        each.stop()


@pytest.fixture(scope="session")
def start(
    upstreams: dict[str, Upstream], authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Start]:
    """Starts gateways; changes are laid over the usual configuration."""
    started: list[Running] = []

    def begin(
        name: str, environment: dict[str, str] | None = None, filters: Sequence[dict[str, Any]] = (),
        chains: Mapping[str, Chain] | None = None, clusters: Sequence[dict[str, Any]] = (), envoy: Path | None = None,
        **changes: Any,
    ) -> Running:  # fmt: skip
        folder = tmp_path_factory.mktemp(name)
        value = config(upstreams, authority.pem, **changes)
        keys = {**KEYS, **(environment or {})}
        running = Running(value, folder, keys, filters, chains=chains, clusters=clusters, envoy=envoy)
        started.append(running)
        return running

    yield begin
    for each in started:
        each.stop()


@pytest.fixture(scope="session")
def main(start: Start) -> Running:
    """Five policies."""
    return start("main")


@pytest.fixture(scope="session")
def unguarded(start: Start) -> Running:
    """No policy: the lane where bytes pass and are only counted. And CORS."""
    cors = {"origins": ["https://app.example"], "private_network": True}
    return start("unguarded", policies={}, attach=[], gateway={
        "port": 0, "plain_port": 0, "max_body": MAX_BODY, "cors": cors, "pass_headers": ["x-extra"],
    })  # fmt: skip


@pytest.fixture(scope="session")
def alive(start: Start) -> Running:
    """Three workers: for tests that do them harm, one after the other."""
    return start("alive", processor={"workers": 3, "message_timeout": "5s"})


@pytest.fixture(scope="session")
def bounds(start: Start) -> Running:
    """One worker, bodies of at most 8 MiB."""
    gateway = start("bounds", processor=SLOW, gateway={"drain": "1s", "port": 0, "plain_port": 0, "max_body": LIMIT})
    settled(gateway, 1)
    ends = asyncio.run(some(gateway))  # as after some traffic: modules loaded, pools filled
    assert ends == ["complete"] * 50, ends
    return gateway


@pytest.fixture(scope="session")
def judge() -> Iterator[Judge]:
    """A moderation server."""
    found = Judge()
    yield found
    found.stop()


@pytest.fixture(scope="session")
def firewall(start: Start, judge: Judge) -> Running:
    """Many policies, each attached to a model of its own."""
    return start_firewall(start, judge)


@pytest.fixture(scope="session")
def foreign() -> Iterator[dict[str, Foreign]]:
    """A provider of each kind."""
    found = {kind: Foreign(provider) for kind, provider in PROVIDERS.items()}
    yield found
    for each in found.values():
        each.stop()


@pytest.fixture(scope="session")
def mixture(start: Start, foreign: dict[str, Foreign]) -> Running:
    """Many model groups over providers of every kind, and five policies."""
    return start_mixture(start, foreign, pairs=True)


@pytest.fixture(scope="session")
def free_mixture(start: Start, foreign: dict[str, Foreign]) -> Running:
    """The same without policies, and fewer groups."""
    return start_mixture(start, foreign, pairs=False, policies={}, attach=[])


@pytest.fixture(scope="session")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    """Every provider's API behind one gateway, every SDK before it."""
    made = Matrix(tmp_path_factory.mktemp("matrix"))
    yield made
    made.stop()


@pytest.fixture
def matrix(clouds: Matrix) -> Iterator[Matrix]:
    """The same for one test: no provider may have had anything to complain of."""
    clouds.begin()
    yield clouds
    clouds.end()


@pytest.fixture(params=["tls", "plain"])
def over(request: pytest.FixtureRequest) -> str:
    """How clients connect."""
    return str(request.param)


_Kind = TypeVar("_Kind", bound=Case)


def _case(gateway: Running, upstreams: Mapping[str, Upstream], over: str, kind: type[_Kind] = Case) -> Iterator[_Kind]:
    before = {name: len(each.violations) for name, each in upstreams.items()}
    case = kind(gateway, dict(upstreams), tls=over == "tls")
    yield case
    case.close()
    found = [line for name, each in upstreams.items() for line in each.violations[before[name] :]]
    assert not found, f"a provider was told what it must not know: {found}"
    assert "Traceback" not in gateway.errors()
    broken = [line for line in gateway.lines() if line["event"] == "internal-error"]
    assert not broken, f"the processor failed: {broken}"


@pytest.fixture
def case(main: Running, upstreams: dict[str, Upstream], over: str) -> Iterator[Case]:
    """The guarded gateway, over TLS and over the plain port."""
    yield from _case(main, upstreams, over)


@pytest.fixture
def tls_case(main: Running, upstreams: dict[str, Upstream]) -> Iterator[Case]:
    """The guarded gateway over TLS alone."""
    yield from _case(main, upstreams, "tls")


@pytest.fixture
def plain_case(main: Running, upstreams: dict[str, Upstream]) -> Iterator[Case]:
    """The guarded gateway over the plain port alone."""
    yield from _case(main, upstreams, "plain")


@pytest.fixture
def free_case(unguarded: Running, upstreams: dict[str, Upstream], over: str) -> Iterator[Case]:
    """The gateway without policies."""
    yield from _case(unguarded, upstreams, over)


@pytest.fixture
def mixed(mixture: Running, foreign: dict[str, Foreign]) -> Iterator[Mixed]:
    """The guarded gateway before providers of every kind."""
    yield from _case(mixture, foreign, "plain", Mixed)


@pytest.fixture
def free_mixed(free_mixture: Running, foreign: dict[str, Foreign]) -> Iterator[Mixed]:
    """The same without policies."""
    yield from _case(free_mixture, foreign, "plain", Mixed)


@pytest.fixture
def guarded(firewall: Running, judge: Judge, upstreams: dict[str, Upstream]) -> Iterator[Case]:
    """The gateway with many policies, over the plain port."""
    before = len(judge.violations)
    yield from _case(firewall, upstreams, "plain")
    assert judge.violations[before:] == [], "the judge was told what it must not know"


@pytest.fixture(scope="session")
def recordings() -> list[dict[str, Any]]:
    """Recorded exchanges of OpenAI chat completions."""
    root = Path(os.environ.get("EXTPROC_TEST_DATA") or Path(__file__).parents[2].parent / "shared" / "data")
    folder = root / "wire" / "openai_chat"
    if not folder.is_dir():
        pytest.skip(f"no test data: {folder} is not there (EXTPROC_TEST_DATA)")
    found = []
    for path in sorted(folder.glob("*.json")):
        exchanges = json.loads(path.read_text("utf-8"))["exchanges"]
        found += [{"file": path.name, **each} for each in exchanges]
    return found
