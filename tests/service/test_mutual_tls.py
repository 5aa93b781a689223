"""The grpcio transport over TCP with mutual TLS: who is served, who is not, and certificates that are renewed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from extproc.transport.grpcio import Admission, GrpcTransport
from extproc.transport.tls import Certificates, Files
from tests.e2e.authority import Authority
from tests.e2e.harness import free_port
from tests.service.support import MAX_BODY, Call, Server, decided, request_headers

ENVOY = "spiffe://cluster.local/ns/gateways/sa/envoy"


def pair(authority: Authority, name: str) -> tuple[bytes, bytes]:
    """Key and certificate of a name."""
    key, _, cert = authority.certificate(name).read_bytes().partition(b"-----BEGIN CERTIFICATE")
    return key, b"-----BEGIN CERTIFICATE" + cert


class Guarded(Server):
    """The same server as the other service tests', over TCP."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.port = free_port()
        self.authority = authority
        self.folder = folder
        self.certify("localhost")
        super().__init__(folder / "unused.sock", "grpcio")

    def certify(self, name: str) -> None:
        key, cert = pair(self.authority, name)
        (self.folder / "tls.key").write_bytes(key)
        (self.folder / "tls.crt").write_bytes(cert)

    async def _start(self) -> GrpcTransport:
        files = Files(self.folder / "tls.crt", self.folder / "tls.key", self.authority.pem)
        admission = Admission(Certificates(files), ("spiffe://cluster.local/ns/gateways/*",))
        transport = GrpcTransport(self.service, f"127.0.0.1:{self.port}", MAX_BODY, tls=admission)
        await transport.start()
        return transport

    def channel(self, name: str | None, server: str = "localhost", authority: Authority | None = None) -> grpc.Channel:
        """A client with the certificate of a name, or with none."""
        key, cert = pair(authority or self.authority, name) if name else (None, None)
        credentials = grpc.ssl_channel_credentials(self.authority.pem.read_bytes(), key, cert)
        options = [("grpc.ssl_target_name_override", server), ("grpc.use_local_subchannel_pool", 1)]
        return grpc.secure_channel(f"127.0.0.1:{self.port}", credentials, options)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("mtls")
    running = Guarded(folder, Authority(folder))
    yield running
    running.run(running.transport.stop(0))
    running.close()


def refused(channel: grpc.Channel) -> grpc.StatusCode:
    """How a stream ends that is not served."""
    with channel:
        call = Call(channel)
        call.send(request_headers())
        with pytest.raises(grpc.RpcError):
            call.next()
        return call.call.code()


def test_a_client_of_that_name_is_served(server: Guarded) -> None:
    with server.channel(ENVOY) as channel:
        call = decided(channel)
        call.half_close()
        stub = health_pb2_grpc.HealthStub(channel)
        assert stub.Check(health_pb2.HealthCheckRequest(), timeout=10).status == health_pb2.HealthCheckResponse.SERVING


def test_a_client_without_a_certificate_is_refused(server: Guarded) -> None:
    assert refused(server.channel(None)) is grpc.StatusCode.UNAVAILABLE


def test_a_client_without_tls_is_refused(server: Guarded) -> None:
    assert refused(grpc.insecure_channel(f"127.0.0.1:{server.port}")) is grpc.StatusCode.UNAVAILABLE


def test_a_client_of_another_authority_is_refused(server: Guarded, tmp_path: Path) -> None:
    assert refused(server.channel(ENVOY, authority=Authority(tmp_path))) is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("name", ["spiffe://cluster.local/ns/shop/sa/envoy", "gateways"])
def test_a_client_of_another_name_is_refused(server: Guarded, name: str) -> None:
    assert refused(server.channel(name)) is grpc.StatusCode.PERMISSION_DENIED
    assert server.wait_for(event="stranger-error")


def test_a_renewed_certificate_is_shown_to_new_connections(server: Guarded) -> None:
    with server.channel(ENVOY) as open_before:
        call = decided(open_before)
        server.certify("renewed.example")
        with server.channel(ENVOY, "renewed.example") as channel:
            decided(channel).half_close()
        assert refused(server.channel(ENVOY, "localhost")) is grpc.StatusCode.UNAVAILABLE
        call.half_close()  # what is open stays
        server.certify("localhost")
        with server.channel(ENVOY) as channel:
            decided(channel).half_close()
