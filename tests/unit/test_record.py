"""What a running gateway leaves for other commands."""

import os
import signal

import pytest

from extproc.clients import Reach
from extproc.errors import StartupError
from extproc.record import recall, recorded, tell

REACH = Reach("http://127.0.0.1:8080", "/some/bundle.pem", signed=True)


def test_a_running_gateway_is_found(tmp_path):
    with recorded(tmp_path / "state", REACH, "/etc/extproc.yaml"):
        assert recall(tmp_path / "state") == recall(tmp_path / "state", "/etc/extproc.yaml") == REACH
        assert tell(tmp_path / "state", 0) == os.getpid()
        with pytest.raises(StartupError, match=r"uses /etc/extproc.yaml, not /other.yaml"):
            recall(tmp_path / "state", "/other.yaml")
    assert list((tmp_path / "state").iterdir()) == []
    with pytest.raises(StartupError, match="no gateway of this state folder is running"):
        recall(tmp_path / "state")


def test_it_is_sent_signals(tmp_path):
    came = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: came.append(number))
    try:
        with recorded(tmp_path, REACH, ""):
            tell(tmp_path, signal.SIGUSR1)
            assert came == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("said", [b"", b"{}", b"[]", b'{"url": 1}'])
def test_one_that_has_not_said_where_it_is(tmp_path, said):
    with recorded(tmp_path, REACH, ""):
        (tmp_path / "gateway.json").write_bytes(said)
        with pytest.raises(StartupError, match="has not said where it is"):
            recall(tmp_path)
