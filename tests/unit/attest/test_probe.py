"""One look at whatever listens: only our filter's own answer counts."""

import orjson
import pytest

from extproc.attest.probe import Result, Target, look
from extproc.exchange.attest import MARK, proof, seen
from tests.unit.attest.servers import serving, url


def nonce_of(handler):
    return handler.headers[MARK]


def said(handler, **changes):
    nonce = nonce_of(handler)
    return {"attached": True, "mode": "guard", "generation": 3, "proof": proof(nonce, "guard"), **changes}


def look_at(answer, **options):
    """What a look at a server that answers with this JSON comes to."""
    with serving(lambda handler, body: (200, {}, orjson.dumps(answer(handler)))) as server:
        return look(Target(url(server), **options)), server


def test_our_filters_answer():
    found, server = look_at(said)
    assert (found.result, found.mode, found.generation, found.status) == (Result.ATTACHED, "guard", 3, 200)
    assert found.attached
    (method, path, headers, body), = server.requests  # fmt: skip
    assert (method, path, body) == ("POST", "/v1/chat/completions", b"{}")
    assert len(headers[MARK]) >= 32


def test_every_look_has_a_word_of_its_own():
    with serving(lambda handler, body: (200, {}, orjson.dumps(said(handler)))) as server:
        for _ in range(3):
            look(Target(url(server)))
        assert len({headers[MARK] for _, _, headers, _ in server.requests}) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"attached": False}, {"attached": "true"}, {"mode": "gateway"}, {"mode": "shadow"}, {"mode": ["guard"]},
        {"generation": "3"}, {"proof": ""}, {"proof": None}, {"proof": "0" * 64},
    ],
)  # fmt: skip
def test_what_is_not_exactly_that_is_not_attached(changes):
    found, _ = look_at(lambda handler: said(handler, **changes))
    assert (found.result, found.attached, found.status) == (Result.MISSING, False, 200)


def test_a_proof_of_the_shadow_is_no_answer_of_a_filter():
    found, _ = look_at(lambda handler: said(handler, mode="shadow", proof=proof(nonce_of(handler), "shadow")))
    assert found.result is Result.MISSING


def test_echoes_and_old_answers_are_no_proof():
    found, _ = look_at(lambda handler: said(handler, proof=nonce_of(handler)))
    assert found.result is Result.MISSING
    found, _ = look_at(lambda handler: said(handler, proof=proof("of another request 123", "guard")))
    assert found.result is Result.MISSING

    def echo(handler, body):
        return 200, dict(handler.headers.items()), body

    with serving(echo) as server:
        found = look(Target(url(server)))
    assert (found.result, found.text.split(" (")[0]) == (
        Result.MISSING, "NOT attached: what answered is 200 from some-server",
    )  # fmt: skip


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"attached", b'{"attached": true', b"x" * 200_000, b"\xff"])
def test_bodies_of_any_kind_are_never_told(body):
    with serving(lambda handler, _: (500, {}, body)) as server:
        found = look(Target(url(server)))
    assert found.text.startswith("NOT attached: what answered is 500 from some-server (")
    assert found.status == 500


def test_who_answered_is_told_in_a_way_that_can_be_printed():
    for status, headers, text in (
        (200, {"server": "\x1b[31mred\x07" + "x" * 500}, "200 from some-server, ?[31mred?"),
        (401, {}, "401 from some-server, perhaps before the filter's turn: --header"),
        (404, {"x-llm-generation": "1"}, "404 from some-server, with headers of llm-extproc but without its proof"),
    ):
        with serving(lambda handler, _, status=status, headers=headers: (status, headers, b"")) as server:
            found = look(Target(url(server)))
        assert text in found.text
        assert found.text.isprintable()
        assert len(found.text) < 300


def test_headers_are_sent_and_never_told():
    found, server = look_at(lambda handler: {}, headers={"authorization": "Bearer MARKER", "host": "other.example"})
    assert server.requests[0][2]["authorization"] == "Bearer MARKER"
    assert server.requests[0][2]["host"] == "other.example"
    assert "MARKER" not in found.text + repr(Target("http://h", headers={"authorization": "Bearer MARKER"}))


@pytest.mark.parametrize(
    ("own", "path", "target"),
    [
        ("", "/v1/chat/completions", "/v1/chat/completions"),
        ("/", "/v1/chat/completions", "/v1/chat/completions"),
        ("/v1", "/v1/chat/completions", "/v1/chat/completions"),
        ("/llm/v1/", "/v1/chat/completions", "/llm/v1/chat/completions"),
        ("/llm", "/v1/messages", "/llm/v1/messages"),
        ("/v1/chat/completions", "/v1/chat/completions", "/v1/chat/completions"),
        ("/notv1", "/v1/messages", "/notv1/v1/messages"),
    ],
)
def test_the_path_of_a_url_is_a_prefix(own, path, target):
    assert Target(f"https://h{own}", path).target() == target


def test_nobody_there():
    with serving(lambda *_: (200, {}, b"")) as server:
        pass
    found = look(Target(url(server)))
    assert (found.result, found.attached, found.text) == (Result.UNREACHABLE, False, "unreachable: Connection refused")


def test_no_http_and_no_tls_there():
    with serving(lambda *_: (200, {}, b"")) as server:
        found = look(Target(url(server).replace("http:", "https:")))
    assert found.result is Result.UNREACHABLE
    assert found.text.startswith("unreachable: TLS failed: ")


# the shadow


def processor(answers):
    """A processor's health port that gives these answers one after the other, the last one for ever."""
    left = list(answers)

    def reply(handler, body):
        answer = left.pop(0) if len(left) > 1 else left[0]
        return (200, {}, orjson.dumps(answer)) if answer else (404, {}, b"not here\n")

    return serving(reply)


def in_the_shadow(answers, timeout=5.0):
    with (
        processor(answers) as health,
        serving(lambda handler, body: (400, {}, b"{}")) as server,
    ):
        address = f"localhost:{health.server_port}"
        return look(Target(url(server), processors=[address], timeout=timeout)), server, health


def test_a_processor_has_seen_it():
    found, server, health = in_the_shadow([{"seen": 0, "mode": None}, {"seen": 1, "mode": "shadow"}])
    assert (found.result, found.mode, found.attached, found.status) == (Result.SHADOW, "shadow", True, 400)
    assert found.text.startswith("attached in shadow: ")
    assert {path for _, path, _, _ in health.requests} == {f"/attest/{seen(server.requests[0][2][MARK])}"}
    assert len(health.requests) == 2


def test_no_processor_has_seen_it():
    found, _, _ = in_the_shadow([{"seen": 0, "mode": None}], timeout=0.2)
    assert found.result is Result.MISSING
    assert found.text == "NOT attached: what answered is 400 from some-server, and no processor has seen it"


@pytest.mark.parametrize("answer", [None, [], {"seen": "1"}, {"mode": "shadow"}])
def test_what_cannot_be_asked_says_nothing(answer):
    found, _, _ = in_the_shadow([answer], timeout=0.2)
    assert found.result is Result.UNREACHABLE
    assert "no processor can be asked (localhost:" in found.text
