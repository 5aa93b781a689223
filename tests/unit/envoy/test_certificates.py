import contextlib
import ssl
import stat

from cryptography import x509

from extproc.envoy import certificates


def names(path):
    found = x509.load_pem_x509_certificate(path.read_bytes())
    return found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def test_certificates_are_made_once_and_kept(tmp_path):
    first = [path.read_bytes() for path in certificates.ensure(tmp_path)]
    assert [path.read_bytes() for path in certificates.ensure(tmp_path)] == first


def test_a_new_host_gets_a_new_certificate_from_the_same_authority(tmp_path):
    cert, _, ca = certificates.ensure(tmp_path)
    authority, before = ca.read_bytes(), cert.read_bytes()
    certificates.ensure(tmp_path, ("gateway.internal", "10.1.2.3"))
    assert ca.read_bytes() == authority
    assert cert.read_bytes() != before
    assert "gateway.internal" in names(cert).get_values_for_type(x509.DNSName)


def test_private_keys_are_for_their_owner_alone(tmp_path):
    certificates.ensure(tmp_path)
    for name in ("server.key", "ca.key"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_python_trusts_the_chain(tmp_path):
    cert, key, ca = certificates.ensure(tmp_path)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(cert, key)
    client = ssl.create_default_context(cafile=str(ca))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    there = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (here, there):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    assert here.getpeercert()["issuer"][0][0][1] == "llm-extproc development authority"
