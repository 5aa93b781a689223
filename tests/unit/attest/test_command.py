"""The command: its statuses, its lines, its gauge."""

import threading

import orjson
import pytest
from prometheus_client import generate_latest

from extproc.attest.command import Gauges, watch
from extproc.attest.probe import Found, Result
from extproc.cli import main
from extproc.exchange.attest import MARK, proof
from tests.unit.attest.servers import serving, url


def ours(handler, body):
    said = {"attached": True, "mode": "gateway", "generation": 1, "proof": proof(handler.headers[MARK], "gateway")}
    return 200, {}, orjson.dumps(said)


def test_statuses_and_lines(capsys):
    with serving(ours) as server:
        assert main(["attest", url(server)]) == 0
        assert capsys.readouterr().out.endswith(f"Z {url(server)}: attached: gateway, generation 1\n")
        assert main(["attest", url(server), "--json", "--header", "A-B: c:d", "--path", "/x"]) == 0
        said = orjson.loads(capsys.readouterr().out)
        assert server.requests[-1][1] == "/x"
        assert server.requests[-1][2]["a-b"] == "c:d"
    assert (said["attached"], said["result"], said["mode"], said["generation"]) == (True, "attached", "gateway", 1)
    assert main(["attest", url(server)]) == 3
    with serving(lambda *_: (503, {}, b"SECRET")) as server:
        assert main(["attest", url(server)]) == 1
    out = capsys.readouterr().out
    assert "NOT attached: what answered is 503" in out
    assert "SECRET" not in out


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["ftp://h"], ["h:1"], ["http://"], ["http://h:0"], ["http://h:x"], ["http://u:p@h"], ["http://h/?a=b"],
        ["http://h", "--every", "5"], ["http://h", "--every", "0s"], ["http://h", "--header", "x"],
        ["http://h", "--header", "a b: c"], ["http://h", "--header", "a: é"], ["http://h", "--path", "x"],
        ["http://h", "--metrics", "0"], ["http://h", "--metrics", "x"], ["http://h", "--processor", "h"],
        ["http://h", "--ca", "/no/such/file"], ["http://h", "--timeout", "soon"],
    ],
)  # fmt: skip
def test_wrong_usage(arguments):
    with pytest.raises(SystemExit) as caught:
        main(["attest", *arguments])
    assert caught.value.code == 2


def test_metrics_need_every(capsys):
    assert main(["attest", "http://h", "--metrics", "9"]) == 2
    assert "--metrics needs --every" in capsys.readouterr().err


def test_a_taken_port_for_metrics(capsys):
    with serving(ours) as server:
        arguments = ["attest", "http://h", "--every", "1s", "--metrics", str(server.server_port)]
        assert main(arguments) == 2
    assert f"cannot listen on port {server.server_port} (--metrics)" in capsys.readouterr().err


def test_a_line_at_each_change_and_the_last_status():
    looks = [
        Found(Result.ATTACHED, "a", "guard", 1),
        Found(Result.ATTACHED, "b", "guard", 2),
        Found(Result.SHADOW, "c", "shadow"),
        Found(Result.MISSING, "d"),
        Found(Result.MISSING, "e"),
        Found(Result.UNREACHABLE, "f"),
        Found(Result.ATTACHED, "g", "guard", 2),
        Found(Result.MISSING, "h"),
    ]
    told, seen, stop, gauges = [], [], threading.Event(), Gauges("http://h")

    def look():
        found = looks[len(seen)]
        seen.append(found)
        if len(seen) == len(looks):
            stop.set()
        return found

    assert watch(look, told.append, stop, 0.0, gauges) == 1
    assert [each.text for each in told] == ["a", "c", "d", "f", "g", "h"]
    text = generate_latest(gauges.registry).decode()
    assert 'extproc_attached{url="http://h"} 0.0' in text
    counted = {"attached": 3, "shadow": 1, "missing": 3, "unreachable": 1}
    for result, count in counted.items():
        assert f'extproc_attest_total{{result="{result}"}} {count:.1f}' in text


@pytest.mark.parametrize(("result", "value"), [(Result.ATTACHED, 1), (Result.SHADOW, 1), (Result.UNREACHABLE, 0)])
def test_the_gauge(result, value):
    gauges = Gauges("http://h")
    gauges.count(Found(result, ""))
    assert f'extproc_attached{{url="http://h"}} {value:.1f}' in generate_latest(gauges.registry).decode()
