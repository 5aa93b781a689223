"""A service of one's own over gRPC: the contract, the example, and everything such a service can do wrong."""

import asyncio
import importlib.util
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
import uvloop

from extproc._pb import moderator_pb2 as pb
from extproc.errors import ConfigError
from extproc.moderation.api import Finding, Mark, Text
from extproc.moderation.grpc import METHOD
from extproc.policy.api import Scope
from tests.e2e.authority import Authority
from tests.unit.moderation.support import ANSWER, ASSISTANT, KEY, SECRET, USER, describe, failure, judged, run

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "moderator.py"


@pytest.fixture
def serve(tmp_path):
    """Starts servers that answer with a function of (request, context); gives the address."""
    servers = []

    def start(judge, address="127.0.0.1:0", credentials=None):
        server = grpc.server(ThreadPoolExecutor(4))
        handler = grpc.unary_unary_rpc_method_handler(
            judge,
            pb.JudgeRequest.FromString,
            lambda value: value if isinstance(value, bytes) else value.SerializeToString(),
        )
        service, method = METHOD.strip("/").split("/")
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
        add = server.add_insecure_port if credentials is None else server.add_secure_port
        port = add(address, *filter(None, [credentials]))
        server.start()
        servers.append(server)
        return f"grpc://127.0.0.1:{port}"

    yield start
    for each in servers:
        each.stop(0).wait(5)


def says(*findings):
    return lambda request, context: pb.JudgeResponse(findings=findings)


@pytest.mark.parametrize("loop", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_the_contract(serve, loop):
    seen = []

    def judge(request, context):
        seen.append((request, dict(context.invocation_metadata()), context.time_remaining()))
        first = pb.Finding(scores={"Hate": 0.25, "weather": 1.0}, flagged=True, labels=["Weather Report"])
        first.marks.add(start=0, end=5, label="weather")
        first.marks.add(start=6, end=7, label="other", replacement="")
        return pb.JudgeResponse(findings=[first, pb.Finding(scores={"hate": 0.0})])

    moderation = describe("grpc", serve(judge), thresholds=(("hate", 0.5),))
    first, second = judged(moderation, (USER, ASSISTANT), loop=loop).findings
    assert first == Finding(
        True,
        {"hate": 0.25, "weather": 1.0},
        ("weather_report",),
        (Mark(0, 5, "weather", 1.0), Mark(6, 7, "other", 1.0, "")),
    )
    assert second == Finding(False, {"hate": 0.0})
    ((request, metadata, _),) = seen
    assert metadata["authorization"] == f"Bearer {KEY}"
    assert request == pb.JudgeRequest(
        request_id="req-1",
        phase="request",
        categories=["hate"],
        texts=[
            pb.Text(scope="user", role="user", text=USER.text),
            pb.Text(scope="assistant", role="assistant", text=ASSISTANT.text),
        ],
    )
    judged(describe("grpc", moderation.url, keys=(), thresholds=(("hate", 0.5),)), (USER, ASSISTANT), ANSWER)
    assert seen[1][0].phase == "response"
    assert "authorization" not in seen[1][1]


def test_over_a_unix_socket(serve, tmp_path):
    path = tmp_path / "m.sock"
    serve(says(pb.Finding(flagged=True)), f"unix:{path}")
    assert judged(describe("grpc", f"unix:{path}")).flagged


def test_over_tls_certificates_are_checked(serve, tmp_path):
    authority = Authority(tmp_path)
    authority.context("127.0.0.1")
    pem = (tmp_path / "127.0.0.1.pem").read_bytes()
    url = serve(says(pb.Finding(flagged=True)), credentials=grpc.ssl_server_credentials([(pem, pem)]))
    secure = url.replace("grpc:", "grpcs:")
    assert judged(describe("grpc", secure, ca=str(authority.pem))).flagged
    assert failure(describe("grpc", secure)).outage
    with pytest.raises(ConfigError, match=r"gone\.pem cannot be read"):
        judged(describe("grpc", secure, ca=str(tmp_path / "gone.pem")))


@pytest.mark.parametrize(
    "findings",
    [
        [],
        [pb.Finding(scores={"hate": 0.1}), pb.Finding(scores={"hate": 0.1})],
        [pb.Finding()],
        [pb.Finding(scores={"other": 0.1})],
        [pb.Finding(scores={"hate": 1.01})],
        [pb.Finding(scores={"hate": -0.01})],
        [pb.Finding(scores={"hate": float("nan")})],
        [pb.Finding(scores={"hate": 0.1}, marks=[pb.Mark(start=0, end=0, label="hate")])],
        [pb.Finding(scores={"hate": 0.1}, marks=[pb.Mark(start=9, end=3, label="hate")])],
        [pb.Finding(scores={"hate": 0.1}, marks=[pb.Mark(start=0, end=len(USER.text) + 1, label="hate")])],
    ],
)
def test_an_answer_that_breaks_a_rule_is_an_error(serve, findings):
    moderation = describe("grpc", serve(says(*findings)), thresholds=(("hate", 0.5),))
    assert not failure(moderation).outage


def aborts(code):
    def judge(request, context):
        context.abort(code, f"no: {request.texts[0].text}")

    return judge


@pytest.mark.parametrize(
    ("code", "outage"),
    [
        (grpc.StatusCode.INTERNAL, True),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, True),
        (grpc.StatusCode.UNAUTHENTICATED, True),
        (grpc.StatusCode.UNIMPLEMENTED, True),
        (grpc.StatusCode.INVALID_ARGUMENT, False),
    ],
)
def test_a_status_is_an_error_and_its_words_go_nowhere(serve, code, outage):
    assert failure(describe("grpc", serve(aborts(code)))).outage is outage


def test_bytes_that_are_no_message_and_messages_that_are_too_large(serve):
    assert not failure(describe("grpc", serve(lambda request, context: b"\xff\xff"))).outage
    large = pb.JudgeResponse(findings=[pb.Finding(labels=["x" * (2 << 20)])])
    assert failure(describe("grpc", serve(lambda request, context: large))).outage


def test_a_service_that_hangs_or_is_not_there(serve):
    gone = threading.Event()

    def hang(request, context):
        context.add_callback(gone.set)
        gone.wait(30)
        return pb.JudgeResponse()

    assert "deadline" in str(failure(describe("grpc", serve(hang), deadline=0.2)))
    assert gone.wait(30)  # it is told that nobody waits any more
    failure(describe("grpc", "grpc://127.0.0.1:1", deadline=5.0))


def test_long_texts_come_in_parts_and_places_are_those_of_the_whole(serve):
    def judge(request, context):
        found = []
        for text in request.texts:
            each = pb.Finding(scores={"secret": float(SECRET in text.text)})
            at = text.text.find(SECRET)
            if at >= 0:
                each.marks.add(start=at, end=at + len(SECRET), label="secret")
            found.append(each)
        return pb.JudgeResponse(findings=found)

    text = "\u00e9 " * 8_005 + SECRET + " x" * 30_000
    moderation = describe("grpc", serve(judge), thresholds=(("secret", 0.5),))
    (finding,) = judged(moderation, (Text.of(Scope.USER, text),)).findings
    assert finding.scores == {"secret": 1.0}
    assert [text[each.start : each.end] for each in finding.marks] == [SECRET]


def test_the_example_speaks_the_contract():
    spec = importlib.util.spec_from_file_location("moderator_example", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    server, port = example.serve("127.0.0.1:0")
    try:
        moderation = describe("grpc", f"grpc://127.0.0.1:{port}", thresholds=(("shouting", 0.8),))
        texts = (Text.of(Scope.USER, "LOUD"), Text.of(Scope.USER, "the SECRET is out"))
        loud, secret = judged(moderation, texts).findings
        assert loud.scores == {"shouting": 1.0}
        assert secret.marks == (Mark(4, 10, "secret"),)
    finally:
        server.stop(0).wait(5)


def test_closing_twice_is_nothing(serve):
    from extproc.moderation.grpc import Grpc

    async def main():
        made = Grpc(describe("grpc", "unix:/nowhere"))
        await made.aclose()
        await made.aclose()

    run(main())
