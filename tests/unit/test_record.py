"""What running gateways leave for other commands."""

import os
import signal
import subprocess
import sys

import pytest

from extproc.clients import Reach
from extproc.errors import StartupError
from extproc.record import find, recorded, tell
from tests.support import ROOT

REACH = Reach("http://127.0.0.1:8080", "/some/bundle.pem", signed=True)

OTHER = """
import sys
from pathlib import Path
from extproc.clients import Reach
from extproc.record import recorded
with recorded(Path(sys.argv[1]), Reach(sys.argv[2]), sys.argv[3]):
    print("ready", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def other():
    """Starts another process with a gateway."""
    started = []

    def start(state, url, config=""):
        process = subprocess.Popen(
            [sys.executable, "-c", OTHER, str(state), url, config],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        assert process.stdout.readline() == "ready\n"
        started.append(process)
        return process

    yield start
    for each in started:
        each.kill()
        each.communicate()


def test_a_running_gateway_is_found(tmp_path):
    state = tmp_path / "state"
    with recorded(state, REACH, "/etc/extproc.yaml"):
        found = find(state)
        assert found == find(state, config="/etc/extproc.yaml") == find(state, pid=os.getpid(), usual="/other.yaml")
        assert (found.reach, found.pid, found.config) == (REACH, os.getpid(), "/etc/extproc.yaml")
        with pytest.raises(StartupError, match=r"uses /etc/extproc.yaml, not /other.yaml"):
            find(state, config="/other.yaml")
        with pytest.raises(StartupError, match="no running gateway is process 1; there are: process "):
            find(state, pid=1)
    assert [each.name for each in (state / "gateways").iterdir()] == [".lock"]
    with pytest.raises(StartupError, match="no gateway of this state folder is running"):
        find(state)


def test_it_is_sent_signals(tmp_path):
    came = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: came.append(number))
    try:
        with recorded(tmp_path, REACH, ""):
            tell(find(tmp_path), signal.SIGUSR1)
            assert came == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_two_are_kept_apart(tmp_path, other):
    first = other(tmp_path, "http://127.0.0.1:1", "/one.yaml")
    second = other(tmp_path, "http://127.0.0.1:2", "/two.yaml")
    assert find(tmp_path, config="/one.yaml").pid == first.pid
    assert find(tmp_path, usual="/two.yaml").reach.url == "http://127.0.0.1:2"
    assert find(tmp_path, pid=first.pid).config == "/one.yaml"
    for usual in ("", "/three.yaml"):
        with pytest.raises(StartupError, match=r"2 gateways .* say --pid or --config: process ") as caught:
            find(tmp_path, usual=usual)
        assert str(first.pid) in str(caught.value)
        assert str(second.pid) in str(caught.value)
    second.communicate("\n")
    assert find(tmp_path).pid == first.pid, "the end of the second has taken the first's file along"


def test_two_with_one_configuration_file_need_the_process(tmp_path, other):
    for number in (1, 2):
        other(tmp_path, f"http://127.0.0.1:{number}", "/one.yaml")
    with pytest.raises(StartupError, match="2 gateways"):
        find(tmp_path, config="/one.yaml", usual="/one.yaml")


def test_one_that_was_killed_is_not_running(tmp_path, other):
    """And a process that has its number today is not sent signals that mean it."""
    killed = other(tmp_path, "http://127.0.0.1:1", "/one.yaml")
    killed.kill()
    killed.wait()
    (left,) = (tmp_path / "gateways").glob("*.json")
    left.write_bytes(left.read_bytes().replace(str(killed.pid).encode(), str(os.getpid()).encode()))
    with pytest.raises(StartupError, match="no gateway of this state folder is running"):
        find(tmp_path)
    with recorded(tmp_path, REACH, ""):
        assert not left.exists()
        assert find(tmp_path).reach == REACH


@pytest.mark.parametrize("said", [b"", b"{}", b"[]", b'{"url": 1}'])
def test_one_that_has_not_said_where_it_is(tmp_path, said):
    with recorded(tmp_path, REACH, ""):
        (tmp_path / "gateways" / f"{os.getpid()}.json").write_bytes(said)
        with pytest.raises(StartupError, match="has not said where it is"):
            find(tmp_path)


def test_a_gateway_that_has_ended_cannot_be_told(tmp_path, other):
    process = other(tmp_path, "http://127.0.0.1:1")
    found = find(tmp_path)
    process.communicate("\n")
    with pytest.raises(StartupError, match="cannot be told: No such process"):
        tell(found, signal.SIGHUP)
