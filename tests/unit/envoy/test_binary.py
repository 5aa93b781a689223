import os

import pytest

from extproc.envoy import binary
from extproc.errors import StartupError


def test_a_given_binary_wins_and_must_exist(tmp_path):
    fake = tmp_path / "envoy"
    fake.write_text("#!/bin/sh\n")
    fake.chmod(0o755)
    assert binary.find(str(fake)) == fake
    with pytest.raises(StartupError, match="no executable"):
        binary.find(str(tmp_path / "missing"))


def test_without_a_wheel_the_path_is_searched_and_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(binary, "files", lambda name: [])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StartupError, match="--envoy"):
        binary.find()
    fake = tmp_path / "envoy"
    fake.write_text("#!/bin/sh\n")
    fake.chmod(0o755)
    assert binary.find() == fake


@pytest.mark.envoy
def test_the_wheels_binary_is_found_without_importing_envoy():
    assert os.access(binary.find(), os.X_OK)
