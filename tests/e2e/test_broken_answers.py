"""Providers of every kind whose answers are broken: the client gets an error or an end in its own format, and no more.

Each is tried for a client of the provider's own format, whose answer is patched, and for one of another, whose is converted.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass

import httpx
import pytest

from tests.e2e.foreign import PROVIDERS, SHAPES, SSE, Shape
from tests.e2e.mixture import Mixed
from tests.e2e.tongues import TONGUES, Said, Tongue
from tests.e2e.upstream import Behaviour, chunked, raw, respond

SAME = [
    ("chat", "openai"),
    ("responses", "openai"),
    ("anthropic", "anthropic"),
    ("gemini", "gemini"),
    ("bedrock", "bedrock"),
]
OTHER = [
    ("chat", "anthropic"), ("chat", "gemini"), ("chat", "bedrock"), ("anthropic", "openai"), ("anthropic", "bedrock"),
    ("responses", "anthropic"), ("responses", "bedrock"), ("gemini", "openai"), ("bedrock", "gemini"),
]  # fmt: skip
WAYS = [pytest.param(*way, id=f"{way[0]}-of-{way[1]}") for way in SAME + OTHER]
CONVERTED = [pytest.param(*way, id=f"{way[0]}-of-{way[1]}") for way in OTHER]
SILENT = [SAME[0], SAME[2], SAME[4], OTHER[0], OTHER[-1]]
"""Some: it takes as long as the timer is set to."""
BEGUN = ("Hello there. ", "I am jane.doe@exam")
"""What has been said before it breaks: the end may be half of an address, and is held back."""


@dataclass
class Way:
    """A client's API, and the format in which the provider answers it."""

    case: Mixed
    tongue: Tongue
    kind: str

    @property
    def shape(self) -> Shape:
        same = (self.tongue.name, self.kind) in SAME
        return SHAPES[self.tongue.name] if same else PROVIDERS[self.kind].shape

    def take(self, behaviour: Behaviour, *, stream: bool = True, group: str = "only") -> Taken:
        """Let the provider behave so; what the client gets. ``group``: ``stall`` has little patience with silence."""
        self.case.on(behaviour, at=self.kind)
        model = f"{group}-{self.kind}"
        body = b""
        cut = False
        path, asked = self.tongue.path(model, stream=stream), self.tongue.body(model, "Hello", stream=stream)
        with self.case.client().stream("POST", path, json=asked) as answer:
            try:
                for chunk in answer.iter_raw():
                    body += chunk
            except (httpx.RemoteProtocolError, httpx.ReadError):
                cut = True
        assert b"jane" not in body, body
        return Taken(self.tongue, answer, body, cut)


@dataclass
class Taken:
    """An answer as it came."""

    tongue: Tongue
    answer: httpx.Response
    body: bytes
    cut: bool

    def refused(self, status: int, code: str = "") -> None:
        """It is an error with this status, in the client's format."""
        assert (self.answer.status_code, self.cut) == (status, False), self.body
        assert self.answer.headers["content-type"] == "application/json"
        value = httpx.Response(200, content=self.body).json()
        assert self.tongue.error(value)
        if code and self.tongue.name in ("chat", "responses"):
            assert value["error"]["code"] == code

    def said(self) -> Said:
        """What the client makes of a stream; it was not cut."""
        assert (self.answer.status_code, self.cut) == (200, False), self.body
        assert self.answer.headers["content-type"].partition(";")[0] == self.tongue.media.partition(";")[0]
        return self.tongue.stream(self.body)

    def failed(self, text: str = "Hello there. ") -> Said:
        """It is a stream that ends in an error, after this or the beginning of this."""
        said = self.said()
        assert said.error, self.body
        assert text.startswith(said.text)
        return said


@pytest.fixture
def way(mixed: Mixed) -> Callable[[str, str], Way]:
    return lambda tongue, kind: Way(mixed, TONGUES[tongue], kind)


Ways = Callable[[str, str], Way]
of_all = pytest.mark.parametrize(("tongue", "kind"), WAYS)
of_converted = pytest.mark.parametrize(("tongue", "kind"), CONVERTED)
HTML = b"<html><body>Bad gateway, ask jane.doe@example.com</body></html>"


# whole answers


@of_all
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("body", [b"jane.doe@example.com", b'{"choices": [{"jane": ', b"", b'{"jane": "\xff"}'])
def test_no_json(way: Ways, tongue: str, kind: str, body: bytes, stream: bool) -> None:
    way(tongue, kind).take(respond(200, body), stream=stream).refused(502, "upstream_malformed")


@of_converted
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("body", [b"[]", b"null", b'"jane"', b"{}", b'{"jane": 1}'])
def test_json_of_another_shape(way: Ways, tongue: str, kind: str, body: bytes, stream: bool) -> None:
    way(tongue, kind).take(respond(200, body), stream=stream).refused(502, "upstream_malformed")


@of_all
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("status", [200, 201, 404, 502])
def test_html(way: Ways, tongue: str, kind: str, status: int, stream: bool) -> None:
    answer = way(tongue, kind).take(respond(status, HTML, [("content-type", "text/html")]), stream=stream)
    answer.refused(502 if status < 400 else status)
    assert b"html" not in answer.body


@of_converted
@pytest.mark.parametrize("status", [201, 202])
def test_a_success_that_is_no_answer(way: Ways, tongue: str, kind: str, status: int) -> None:
    it = way(tongue, kind)
    it.take(respond(status, it.shape.whole("Hello.")), stream=False).refused(502)


@of_all
def test_a_reset_inside_a_whole_answer(way: Ways, tongue: str, kind: str) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n"
    answer = way(tongue, kind).take(raw(head + b'{"jane.doe@exa', then="reset"), stream=False)
    assert answer.body == b"" or answer.answer.status_code >= 500


# streams that are none


@of_all
def test_an_empty_stream(way: Ways, tongue: str, kind: str) -> None:
    it = way(tongue, kind)
    answer = it.take(it.shape.streams([]))
    if answer.answer.status_code == 200:
        said = answer.said()
        assert (said.text, said.finish) == ("", "")
    else:
        answer.refused(502)


@of_all
def test_a_stream_of_another_type(way: Ways, tongue: str, kind: str) -> None:
    it = way(tongue, kind)
    it.take(it.shape.streams(it.shape.stream(*BEGUN), media="text/plain")).refused(502, "upstream_malformed")


@of_all
def test_html_that_claims_to_be_a_stream(way: Ways, tongue: str, kind: str) -> None:
    it = way(tongue, kind)
    answer = it.take(it.shape.streams([HTML]))
    assert b"html" not in answer.body
    assert answer.answer.status_code in (200, 502)


@of_all
def test_the_first_event_is_broken(way: Ways, tongue: str, kind: str) -> None:
    it = way(tongue, kind)
    it.take(it.shape.streams([broken(it.shape), *it.shape.stream(*BEGUN)])).refused(502, "upstream_malformed")


def broken(shape: Shape) -> bytes:
    """An event that cannot be read."""
    if shape.media == SSE:
        return b"data: {nonsense of jane.doe@example.com\n\n"
    good = shape.text("jane.doe@example.com")
    return good[:-1] + bytes([good[-1] ^ 1])


# streams that break off


@of_all
def test_an_event_in_the_middle_is_broken(way: Ways, tongue: str, kind: str) -> None:
    it = way(tongue, kind)
    shape = it.shape
    parts = [*shape.opening, *map(shape.text, BEGUN), broken(shape), *shape.closing]
    said = it.take(shape.streams(parts)).failed()
    assert said.error
    assert "nonsense" not in said.error


@of_all
def test_half_an_event_is_the_end(way: Ways, tongue: str, kind: str) -> None:
    it = way(tongue, kind)
    shape = it.shape
    half = shape.text("ple.com, a long text that is never told")
    it.take(shape.streams([*shape.opening, *map(shape.text, BEGUN), half[: len(half) // 2]])).failed()


@of_all
def test_an_error_in_the_middle(way: Ways, tongue: str, kind: str) -> None:
    it = way(tongue, kind)
    shape = it.shape
    parts = [*shape.opening, shape.text("Hello there. "), shape.failure("overloaded, says jane.doe@example.com")]
    said = it.take(shape.streams(parts)).failed()
    assert said.error == "overloaded, says [email]"
    assert said.text == "Hello there. "


@of_all
def test_an_error_at_the_beginning(way: Ways, tongue: str, kind: str) -> None:
    it = way(tongue, kind)
    answer = it.take(it.shape.streams([it.shape.failure("overloaded, says jane.doe@example.com")]))
    said = answer.failed("")
    assert said.error == "overloaded, says [email]"


@of_converted
def test_nothing_follows_an_error(way: Ways, tongue: str, kind: str) -> None:
    it = way(tongue, kind)
    shape = it.shape
    parts = [*shape.opening, shape.text("Hello. "), shape.failure("broken"), shape.text("jane"), *shape.closing]
    said = it.take(shape.streams(parts)).failed("Hello. ")
    assert said.finish == ""


@of_all
def test_silence_in_the_middle(way: Ways, tongue: str, kind: str) -> None:
    """The processor's own timer ends it, before Envoy's would cut the connection."""
    it = way(tongue, kind)
    shape = it.shape
    said = it.take(shape.streams([*shape.opening, *map(shape.text, BEGUN)], then="hang"), group="stall").failed()
    assert said.error == "The provider stopped in the middle of its answer."
    assert it.case.one(kind).ended.wait(5)
    line = it.case.log()
    assert (line["end"], line["error"]) == ("error", "upstream_stalled")


@pytest.mark.parametrize(("tongue", "kind"), SILENT)
def test_silence_before_any_text(way: Ways, tongue: str, kind: str) -> None:
    it = way(tongue, kind)
    it.take(it.shape.streams([*it.shape.opening], then="hang"), group="stall").refused(504, "upstream_stalled")


@of_all
@pytest.mark.parametrize("then", ["reset", "close"])
def test_a_reset_in_the_middle(way: Ways, tongue: str, kind: str, then: str) -> None:
    """A cut: nothing can be said any more. Where it comes before our headers have left, it is Envoy's 502."""
    it = way(tongue, kind)
    shape = it.shape
    answer = it.take(shape.streams([*shape.opening, *map(shape.text, BEGUN)], then=then))
    if answer.cut:
        assert answer.answer.status_code == 200
        assert it.case.log()["end"] == "cut"
    else:
        answer.refused(502, "gateway_error")


@of_converted
def test_an_end_that_is_none(way: Ways, tongue: str, kind: str) -> None:
    """The provider's stream ends well, but the answer in it does not."""
    it = way(tongue, kind)
    shape = it.shape
    parts = [*shape.opening, shape.text("Hello there. "), shape.text("And")]
    it.take(shape.streams(parts)).failed("Hello there. And")


# streams that are odd, but good


@of_converted
def test_a_beginning_that_comes_twice(way: Ways, tongue: str, kind: str) -> None:
    it = way(tongue, kind)
    shape = it.shape
    first = shape.opening[:1]
    answer = it.take(shape.streams([*first, *shape.stream("Hello there. ", "And good bye.")]))
    if answer.answer.status_code == 200:
        said = answer.said()
        assert said.error or (said.text, said.finish) == ("Hello there. And good bye.", answer.tongue.stop)
    else:
        answer.refused(502)


@of_all
def test_a_whole_answer_for_a_stream(way: Ways, tongue: str, kind: str) -> None:
    """What is asked of it is not what it does: a client whose answer is converted still gets what it asked for."""
    it = way(tongue, kind)
    answer = it.take(respond(200, it.shape.whole("I am jane.doe@example.com.")))
    if (tongue, kind) in SAME:
        assert it.tongue.whole(httpx.Response(200, content=answer.body).json()).text == "I am [email]."
    else:
        said = answer.said()
        assert (said.text, said.finish, said.output) == ("I am [email].", it.tongue.stop, 7)
    assert it.case.log()["tokens"]["output"] == 7


@of_all
def test_a_stream_for_a_whole_answer(way: Ways, tongue: str, kind: str) -> None:
    it = way(tongue, kind)
    answer = it.take(it.shape.streams(it.shape.stream("I am jane.doe@exam", "ple.com.")), stream=False)
    if (tongue, kind) in SAME:
        assert answer.said().text == "I am [email]."
    else:
        assert answer.answer.headers["content-type"] == "application/json"
        said = it.tongue.whole(httpx.Response(200, content=answer.body).json())
        assert (said.text, said.finish, said.output) == ("I am [email].", it.tongue.stop, 7)
    assert it.case.log()["tokens"]["output"] == 7


@of_converted
def test_a_compressed_stream(way: Ways, tongue: str, kind: str) -> None:
    """Nobody asked for that, but it can be read; and where it is cut, it ends as any other."""
    it = way(tongue, kind)
    packed = gzip.compress(b"".join(it.shape.stream("I am jane.doe@exam", "ple.com.")))
    headers = [("content-type", it.shape.media), ("content-encoding", "gzip")]
    said = it.take(chunked(200, [packed[:50], packed[50:]], headers)).said()
    assert (said.text, said.error) == ("I am [email].", None)


@of_converted
def test_a_compressed_stream_that_is_cut(way: Ways, tongue: str, kind: str) -> None:
    it = way(tongue, kind)
    packed = gzip.compress(b"".join(it.shape.stream("Hello there.")))
    headers = [("content-type", it.shape.media), ("content-encoding", "gzip")]
    answer = it.take(chunked(200, [packed[:-20]], headers))
    assert b"content-encoding" not in repr(answer.answer.headers).encode()
    if answer.answer.status_code == 200:
        answer.failed("Hello there.")
    else:
        answer.refused(502, "upstream_malformed")


@of_converted
def test_compressed_in_a_way_nobody_knows(way: Ways, tongue: str, kind: str) -> None:
    it = way(tongue, kind)
    headers = [("content-type", it.shape.media), ("content-encoding", "mystery")]
    it.take(chunked(200, it.shape.stream("Hello."), headers)).refused(502, "upstream_encoding")


@of_converted
@pytest.mark.parametrize("status", [400, 404, 413, 422, 429, 500, 503, 529])
def test_errors_in_the_clients_format(way: Ways, tongue: str, kind: str, status: int) -> None:
    it = way(tongue, kind)
    answer = it.take(it.shape.fails(status, "It says jane.doe@example.com", [("retry-after", "7")]))
    answer.refused(503 if status == 529 and tongue != "anthropic" else status)
    assert it.tongue.error(httpx.Response(200, content=answer.body).json()) == "It says [email]"
    assert answer.answer.headers["retry-after"] == "7"


@of_converted
def test_a_broken_stream_for_a_whole_answer(way: Ways, tongue: str, kind: str) -> None:
    it = way(tongue, kind)
    shape = it.shape
    it.take(shape.streams([*shape.opening, *map(shape.text, BEGUN), broken(shape)]), stream=False).refused(502)
