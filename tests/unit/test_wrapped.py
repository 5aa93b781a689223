"""A command beside a gateway: its output, its status, its signals. The gateway itself is left out."""

import os
import pty
import signal
import socket
import subprocess
import sys

import pytest

from extproc.cli import main
from extproc.errors import StartupError
from extproc.wrapped import NOT_EXECUTABLE, NOT_FOUND, missing, open_log

WRAPPER = """
import asyncio, os, sys
from extproc.wrapped import Wrapped, elsewhere, open_log

async def run(outputs):
    wrapped = Wrapped([sys.executable, "-c", sys.argv[1]], outputs)
    for number in map(int, sys.argv[3:]):
        os.kill(os.getpid(), number)
        while wrapped._signals.empty():
            await asyncio.sleep(0.01)
    return await wrapped.run({**os.environ, "SAID": "so"})

with open_log(sys.argv[2] or None) as log, elsewhere(log.fileno()) as outputs:
    print("the gateway's own words")
    os.system("echo a worker; echo of Envoy >&2")
    status = asyncio.run(run(outputs))
print("afterwards", status)
"""

TERMINAL = """
import os, sys
os.open(sys.argv[1], os.O_RDWR)  # of a session's leader: it becomes the controlling terminal
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""

APART = """
import os, signal, sys
os.setpgid(0, 0)  # where the terminal does not reach it: whatever comes has been passed on
seen = []
signal.signal(signal.SIGINT, lambda *_: seen.append("INT"))
def ended(*_):
    print(seen, flush=True)
    sys.exit(4)
signal.signal(signal.SIGTERM, ended)
print("waiting", flush=True)
while True:
    signal.pause()
"""


def start(code, *arguments, before=(), log=""):
    return subprocess.Popen(
        [sys.executable, *before, "-c", WRAPPER, code, log, *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def test_output_is_the_commands_alone(tmp_path):
    code = "import os, sys; print(os.environ['SAID']); print('wrong', file=sys.stderr); sys.exit(3)"
    log = tmp_path / "log"
    with start(code, log=str(log)) as process:
        out, err = process.communicate(timeout=60)
    assert (out, err) == ("so\nafterwards 3\n", "wrong\n")
    assert log.read_text() == "the gateway's own words\na worker\nof Envoy\n"


def test_a_signal_that_ended_it():
    with start("import os, signal; os.kill(os.getpid(), signal.SIGKILL)") as process:
        assert process.communicate(timeout=60) == (f"afterwards {128 + signal.SIGKILL}\n", "")


@pytest.mark.parametrize("name", ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"])
def test_signals_are_passed_on(name):
    code = f"""
import signal, sys
signal.signal(signal.{name}, lambda *_: sys.exit(9))
print("waiting", flush=True)
while True:
    signal.pause()
"""
    with start(code) as process:
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.Signals[name])
        assert process.communicate(timeout=60) == ("afterwards 9\n", "")


def test_a_signal_before_it_began():
    with start("print('ran')", str(int(signal.SIGTERM))) as process:
        assert process.communicate(timeout=60) == (f"afterwards {128 + signal.SIGTERM}\n", "")


def test_what_its_caller_ignores_it_ignores():
    ignoring = """
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
    code = "import signal; print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)"
    with start(code, before=["-c", ignoring]) as process:
        assert process.communicate(timeout=60) == ("True\nafterwards 0\n", "")


def test_the_terminals_interrupt_is_left_to_the_terminal():
    """It goes to the whole process group: passed on as well, it would come twice."""
    ours, theirs = pty.openpty()
    try:
        with start(APART, before=["-c", TERMINAL, os.ttyname(theirs)]) as process:
            assert process.stdout.readline() == "waiting\n"
            os.write(ours, b"\x03")
            assert os.read(ours, 1) + os.read(ours, 1) == b"^C"  # echoed when the signal has been sent
            process.send_signal(signal.SIGTERM)  # comes after whatever else would have been passed on
            assert process.communicate(timeout=60) == ("[]\nafterwards 4\n", "")
    finally:
        os.close(ours)
        os.close(theirs)


def test_what_is_missing(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("x")
    assert missing(sys.executable, None) == 0
    assert missing("no-such-program", os.environ["PATH"]) == NOT_FOUND
    assert missing(str(plain), None) == NOT_EXECUTABLE


def test_a_log_that_cannot_be_opened(tmp_path):
    with pytest.raises(StartupError, match="No such file"):
        open_log(str(tmp_path / "nowhere" / "log"))


# the command line


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EXTPROC_CONFIG", raising=False)
    monkeypatch.setenv("PORT", "99999")  # the command's, not the gateway's
    (tmp_path / "extproc.yaml").write_text(
        'providers: {a: {type: openai-compatible, base_url: "http://h/v1", keys: none}}\n'
    )
    return tmp_path


def test_run_without_a_command(folder, capsys):
    assert main(["run"]) == main(["run", "--"]) == 2
    assert "extproc run -- CMD" in capsys.readouterr().err


def test_run_with_a_command_that_is_not_there(folder, capsys):
    assert main(["run", "--", "no-such-program", "--config"]) == 127
    assert main(["run", "no-such-program", "-c"]) == 127
    assert capsys.readouterr().err == "error: no-such-program is not there\n" * 2


def test_run_with_a_configuration_that_is_wrong(folder, capsys):
    (folder / "extproc.yaml").write_text("gateway: {prot: 1}\n")
    assert main(["run", "--", sys.executable, "--version"]) == 1
    captured = capsys.readouterr()
    assert "did you mean 'port'?" in captured.err
    assert captured.out == ""


def test_run_on_a_port_that_is_taken(folder, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (folder / "extproc.yaml").open("a") as file:
            file.write(f"gateway: {{plain_port: {port}}}\n")
        assert main(["run", "--", sys.executable, "--version"]) == 1
    assert f"error: gateway.plain_port: port {port} of 127.0.0.1 is taken" in capsys.readouterr().err
