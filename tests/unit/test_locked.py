"""One at a time, and files that are never half there."""

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from extproc.locked import alone, put


def test_nobody_else_is_in_the_block(tmp_path):
    counter = tmp_path / "count"
    counter.write_text("0")

    def count(_):
        with alone(tmp_path / "folder"):
            counter.write_text(str(int(counter.read_text()) + 1))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(200)))
    assert counter.read_text() == "200"


def test_a_file_is_put_in_place_with_its_permissions(tmp_path):
    for mode in (0o600, 0o644):
        put(tmp_path / "file", b"%o" % mode, mode)
        assert (tmp_path / "file").read_bytes() == b"%o" % mode
        assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode


def test_what_fails_leaves_nothing(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        put(tmp_path / "folder", b"x")
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]
