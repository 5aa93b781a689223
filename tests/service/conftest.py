"""The transports that all service tests run against."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from tests.service.support import KINDS, Server


@pytest.fixture(scope="module", params=KINDS)
def server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("s") / "w0.sock", request.param)
    yield running
    running.run(running.transport.stop(0))
    running.close()


@pytest.fixture
def channel(server: Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"unix:{server.socket}") as opened:
        yield opened


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)
