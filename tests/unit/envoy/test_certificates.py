import contextlib
import ssl
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from cryptography import x509

from extproc.envoy import certificates
from tests.support import ROOT


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


STARTING = """
import sys
from pathlib import Path
from extproc.envoy import certificates
print("ready", flush=True)
sys.stdin.readline()
for path in certificates.ensure(Path(sys.argv[1]), tuple(sys.argv[2:])):
    print(path.read_bytes().hex())
"""


def test_many_first_starts_at_once_end_with_the_same_certificates(tmp_path):
    """Each process has looked before any other was done, or waits for it: all see one authority, and the key fits."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", STARTING, str(tmp_path / "tls")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )
        for _ in range(6)
    ]  # fmt: skip
    for each in started:
        assert each.stdout.readline() == "ready\n"
    for each in started:
        each.stdin.write("\n")
        each.stdin.flush()
    seen = {each.communicate(timeout=60)[0] for each in started}
    assert [each.returncode for each in started] == [0] * len(started)
    assert len(seen) == 1, "processes have seen different certificates"
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
        tmp_path / "tls" / "server.pem", tmp_path / "tls" / "server.key"
    )


def test_threads_that_start_at_once_see_whole_files(tmp_path):
    """Each wants a name of its own, so each makes the certificate again; whatever is read at any time fits the key."""

    def start(number):
        cert, key, ca = certificates.ensure(tmp_path, (f"host-{number}.internal",))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(cert, key)
        return ca.read_bytes()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(start, range(24)))) == 1
    wanted = {f"host-{number}.internal" for number in range(24)}
    assert wanted <= set(names(tmp_path / "server.pem").get_values_for_type(x509.DNSName))
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".server") or each.name.startswith(".ca")]


def test_a_start_that_was_killed_half_way_is_mended(tmp_path):
    """Killed between the authority's key and the authority: the next start makes both."""
    cert, key, ca = certificates.ensure(tmp_path)
    before = ca.read_bytes()
    ca.unlink()
    certificates.ensure(tmp_path)
    assert ca.read_bytes() != before
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key)
    authority = x509.load_pem_x509_certificate(ca.read_bytes())
    x509.load_pem_x509_certificate(cert.read_bytes()).verify_directly_issued_by(authority)


def test_a_folder_that_cannot_be_written_is_enough_where_all_is_there(tmp_path, monkeypatch):
    made = certificates.ensure(tmp_path)
    monkeypatch.setattr(certificates, "alone", None)
    assert certificates.ensure(tmp_path) == made
