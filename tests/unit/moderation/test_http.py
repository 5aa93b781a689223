"""The HTTP client: everything a service can do wrong, and what it must never do itself."""

import asyncio
import logging
import time

import pytest

from extproc.errors import ConfigError
from extproc.moderation.api import ModerationError
from extproc.moderation.http import ANSWER_MAX, Http
from extproc.moderation.moderators import client
from tests.e2e.authority import Authority
from tests.e2e.upstream import chunked, raw, respond
from tests.unit.moderation.support import KEY, QUESTION, SECRET, USER, describe, failure, fake, judged, run, says

__all__ = ["fake"]

OK = {"results": [{"flagged": False, "categories": {}, "category_scores": {}}]}
HTTP = ["openai", "judge", "webhook", "presidio", "bedrock", "azure"]


def hang(*sent):
    async def behave(wire):
        for part in sent:
            await wire.send(part)
        await asyncio.sleep(60)

    return behave


def of(service, url, **more):
    return describe(service, url, **({"model": "a/1"} | more))


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
JSON = (("content-type", "application/json"),)

WRONG = {
    "nothing at all": (raw(then="close"), True),
    "reset": (raw(HEAD, then="reset"), True),
    "half a head": (raw(HEAD, then="close"), True),
    "closed midway": (raw(HEAD + b"content-length: 100\r\n\r\n{", then="close"), True),
    "chunks without an end": (chunked(200, [b'{"results":'], JSON, then="close"), True),
    "no HTTP": (raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", then="close"), True),
    "500": (says({"error": SECRET}, 500), True),
    "503": (says({"error": SECRET}, 503), True),
    "429": (respond(429, b"{}", [("retry-after", "1")]), True),
    "401": (says({"error": KEY}, 401), True),
    "404": (says({}, 404), True),
    "400": (says({"error": SECRET}, 400), False),
    "422": (says({"error": SECRET}, 422), False),
    "204": (raw(b"HTTP/1.1 204 No Content\r\n\r\n"), False),
    "a page": (respond(200, b"<html>busy</html>", [("content-type", "text/html")]), False),
    "empty": (respond(200, b""), False),
    "half a document": (respond(200, b'{"results": ['), False),
    "two readings": (respond(200, b'{"results": [], "results": []}'), False),
    "NaN": (respond(200, b'{"results": [NaN]}'), False),
    "compressed": (respond(200, b"\x1f\x8b", [*JSON, ("content-encoding", "gzip")]), False),
    "too large, and says so": (respond(200, b" " * (ANSWER_MAX + 1)), False),
    "too large, and never ends": (chunked(200, [b" " * 65536] * 40, JSON, then="hang"), False),
    "too deep": (respond(200, b"[" * 200 + b"]" * 200), False),
    "another type": (says("flagged"), False),
}


@pytest.mark.parametrize("service", HTTP)
@pytest.mark.parametrize("case", WRONG)
def test_whatever_goes_wrong_is_one_kind_of_error(fake, caplog, service, case):
    behaviour, outage = WRONG[case]
    caplog.set_level(logging.DEBUG)
    assert failure(of(service, fake(behaviour).url)).outage is outage
    assert SECRET not in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize("service", HTTP)
@pytest.mark.parametrize("sent", [b"", HEAD, HEAD + b"content-length: 9\r\n\r\n{"], ids=["silent", "head", "body"])
def test_a_service_that_hangs_ends_at_the_deadline(fake, service, sent):
    begun = time.monotonic()
    error = failure(of(service, fake(hang(sent)).url, deadline=0.2))
    assert str(error) == "no answer within the deadline"
    assert error.outage
    assert time.monotonic() - begun >= 0.2


def test_a_drip_of_bytes_does_not_move_the_deadline(fake):
    async def drip(wire):
        await wire.send(HEAD + b"content-length: 1000\r\n\r\n")
        for _ in range(1000):
            await wire.send(b" ")
            await asyncio.sleep(0.02)

    assert "deadline" in str(failure(of("openai", fake(drip).url, deadline=0.3)))


def test_a_service_that_is_not_there():
    assert failure(of("openai", "http://127.0.0.1:1")).outage
    assert failure(of("openai", "http://name.invalid")).outage


def test_a_redirect_is_not_followed(fake):
    other = fake(says(OK))
    service = fake(respond(307, b"", [("location", other.url)]))
    assert str(failure(of("openai", service.url))) == "the service refused"
    assert other.requests == []


def test_proxies_and_credentials_of_the_environment_mean_nothing(fake, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login u password p\n")
    (tmp_path / ".netrc").chmod(0o600)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    service = fake(says(OK))
    judged(of("openai", service.url, keys=()))
    assert service.requests[0].header("authorization") is None


def test_certificates_are_checked(fake, tmp_path):
    authority = Authority(tmp_path)
    service = fake(says(OK), tls=authority.context("127.0.0.1"))
    secure = service.url.replace("http:", "https:")
    assert not judged(of("openai", secure, ca=str(authority.pem))).flagged
    assert failure(of("openai", secure)).outage
    elsewhere = fake(says(OK), tls=authority.context("other.test"))
    assert failure(of("openai", elsewhere.url.replace("http:", "https:"), ca=str(authority.pem))).outage
    assert len(service.requests) == 1
    assert elsewhere.requests == []
    for bad in (tmp_path / "gone.pem", tmp_path / "empty.pem"):
        with pytest.raises(ConfigError, match="is not a bundle"):
            Http(str(bad))
        bad.write_text("")


def test_a_connection_is_kept_and_a_broken_one_replaced(fake):
    service = fake(says(OK), says(OK), respond(500, b"x"), hang(HEAD), says(OK))

    async def main():
        moderator = client(of("openai", service.url, deadline=0.5))
        ends = []
        for _ in range(5):
            try:
                await moderator.judge((USER,), QUESTION)
                ends.append("ok")
            except ModerationError as error:
                ends.append(str(error))
        await moderator.aclose()
        return ends

    assert run(main()) == ["ok", "ok", "the service refused", "no answer within the deadline", "ok"]
    assert service.connections <= 3


def test_a_kept_connection_that_the_service_has_closed_is_no_failure(fake):
    service = fake(says(OK), raw(then="close"), says(OK), raw(then="close"), raw(then="close"), says(OK))

    async def main():
        moderator = client(of("openai", service.url))
        for _ in range(2):
            await moderator.judge((USER,), QUESTION)
        with pytest.raises(ModerationError, match="broke off"):
            await moderator.judge((USER,), QUESTION)
        await moderator.aclose()

    run(main())
    assert len(service.requests) == 5


def test_an_answer_that_breaks_off_is_not_asked_for_again(fake):
    service = fake(raw(HEAD + b"content-length: 100\r\n\r\n{", then="close"))
    failure(of("openai", service.url))
    assert len(service.requests) == 1


def test_a_caller_that_gives_up_closes_the_connection(fake):
    service = fake(hang())

    async def main():
        moderator = client(of("openai", service.url))
        asked = asyncio.ensure_future(moderator.judge((USER,), QUESTION))
        while not service.requests:
            await asyncio.sleep(0.005)
        asked.cancel()
        await asyncio.wait([asked])
        assert asked.cancelled()
        assert moderator.under_way == 0
        assert await asyncio.to_thread(service.requests[0].ended.wait, 10)
        await moderator.aclose()

    run(main())


def test_a_key_that_no_header_can_hold_is_an_error_without_it(fake):
    moderation = of("openai", fake(says(OK)).url, keys=(KEY + "\r\nx: y",))
    assert failure(moderation).outage
