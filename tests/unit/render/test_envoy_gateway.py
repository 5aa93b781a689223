"""``extproc render envoy-gateway``: what each version's API would take, and what it cannot say."""

import jsonschema
import pytest

from tests.objects import check, one, refused, rendered


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "extproc.yaml"
    path.write_text("gateway: {max_body: 20MiB}\nprocessor: {message_timeout: 2.5s}\nattach: []\n")
    return path


@pytest.fixture
def render(capsys, config):
    return lambda *more: rendered(capsys, "envoy-gateway", "-c", config, "--gateway", "eg", *more)


def version_of(found, version):
    return version if found["kind"] == "EnvoyExtensionPolicy" else ""


@pytest.mark.parametrize("version", ["1.7", "1.8", "1.9"])
@pytest.mark.parametrize("options", [
    [],
    ["--route", "chat", "--route", "more"],
    ["--namespace", "gateways", "--name", "guard", "--processor-namespace", "gateways"],
    ["--client-secret", "envoy-client"],
    ["--processor", "unix:/run/extproc/w0.sock", "--processor", "unix:/run/extproc/w1.sock"],
    ["--processor", "extproc.example:18080"],
    ["--processor", "10.0.0.7:18080"],
])  # fmt: skip
def test_the_api_server_would_take_it(render, version, options):
    for each in render("--guard-only", "--version", version, *options):
        check(each, version_of(each, version))


def test_the_oldest_one_that_carries_us(render):
    for each in render("--guard-only", "--version", "1.6.4"):  # its CRD says what that of 1.5 says
        check(each, version_of(each, "1.5"))


def test_a_shadow_begins_with_1_9(render, capsys, config):
    for each in render("--shadow"):
        check(each, version_of(each, "1.9"))
    policy = one(render("--shadow"), "EnvoyExtensionPolicy")
    with pytest.raises(jsonschema.ValidationError):
        check(policy, "1.8")
    for version in ("1.6", "1.7", "1.8.3"):
        options = ("-c", config, "--gateway", "eg", "--shadow", "--version", version)
        assert "`shadowMode` begins with 1.9" in refused(capsys, "envoy-gateway", *options)
    proc = policy["spec"]["extProc"][0]
    assert proc["shadowMode"] is proc["failOpen"] is True
    assert [proc["processingMode"][each]["body"] for each in ("request", "response")] == ["Streamed", "Streamed"]


def test_the_guard_fails_closed_and_says_what_it_can(render):
    objects = render("--guard-only")
    proc = one(objects, "EnvoyExtensionPolicy")["spec"]["extProc"][0]
    assert proc["failOpen"] is False
    assert proc["statusOnError"] == 503
    assert proc["messageTimeout"] == "2500ms"
    assert proc["processingMode"]["request"]["body"] == "Buffered"
    assert proc["processingMode"]["response"]["body"] == "FullDuplexStreamed"
    assert "xds.route_name" in proc["processingMode"]["request"]["attributes"]
    assert one(objects, "ClientTrafficPolicy")["spec"]["connection"] == {"bufferLimit": str(20 << 20)}
    assert (
        "statusOnError"
        not in one(render("--guard-only", "--version", "1.8"), "EnvoyExtensionPolicy")["spec"]["extProc"][0]
    )


def test_streams_are_long_and_many(render):
    def settings(*options):
        return one(render(*options), "EnvoyExtensionPolicy")["spec"]["extProc"][0]["backendSettings"]

    assert settings("--guard-only")["circuitBreaker"]["maxParallelRequests"] == 100000  # 1024 unless said
    assert settings("--shadow")["http2"]["connectionKeepalive"] == {"interval": "1s", "timeout": "2s"}
    assert "connectionKeepalive" not in settings("--guard-only", "--version", "1.7")["http2"]


def test_another_namespace_has_to_grant_it(render):
    objects = render("--guard-only", "--namespace", "gateways")
    grant = one(objects, "ReferenceGrant")
    assert grant["metadata"]["namespace"] == "llm-extproc"
    assert grant["spec"]["from"][0]["namespace"] == "gateways"
    backend = one(objects, "EnvoyExtensionPolicy")["spec"]["extProc"][0]["backendRefs"][0]
    assert (backend["kind"], backend["name"], backend["namespace"]) == ("Service", "llm-extproc", "llm-extproc")
    same = render("--guard-only", "--namespace", "llm-extproc")
    assert {each["kind"] for each in same} == {"EnvoyExtensionPolicy", "ClientTrafficPolicy"}


def test_what_a_service_cannot_say_is_a_backend(render):
    backend = one(render("--guard-only", "--client-secret", "envoy-client"), "Backend")["spec"]
    assert backend["tls"]["clientCertificateRef"]["name"] == "envoy-client"
    assert backend["tls"]["sni"] == "llm-extproc.llm-extproc.svc.cluster.local"
    assert "appProtocols" not in backend  # h2c is for plain text
    socket = one(render("--guard-only", "--processor", "unix:/run/extproc/w0.sock"), "Backend")["spec"]
    assert socket["endpoints"] == [{"unix": {"path": "/run/extproc/w0.sock"}}]


@pytest.mark.parametrize(("options", "why"), [
    (["--version", "1.5.2"], "carries Envoy 1.35"),
    (["--version", "1.99"], "not among the versions known"),
    (["--version", "latest"], "say it as"),
    (["--version", "1.6", "--client-secret", "x"], "from 1.7 on"),
    (["--processor", "a:1", "--processor-tls", "a,b,c"], "--client-secret"),
    (["--client-secret", "A B"], "--client-secret"),
    (["--route", "A"], "a name of an object"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(capsys, config, options, why):
    assert why in refused(capsys, "envoy-gateway", "-c", config, "--gateway", "eg", "--guard-only", *options)
