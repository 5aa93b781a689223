"""The benchmark itself: every kind of case runs, and what it says is complete. Not how fast anything is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests.bench.variants import ALONE, BARE

ROOT = Path(__file__).parents[2]
CASES = ("json-32", "stream-32", "paced-32", "prompt-1m")
VARIANTS = (BARE, "all guards", "no policies, grpc.aio")


@pytest.mark.faults  # it wants the machine for itself
@pytest.mark.timeout(280)
def test_the_benchmark_runs_and_every_answer_is_right(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "tests.bench", "--smoke", "--json", str(figures), "--variants", ";".join(VARIANTS)]
    command += [word for case in CASES for word in ("--only", case)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = orjson.loads(figures.read_bytes())
    assert not found["skipped"]
    assert list(found["cases"]) == list(CASES)
    for case, rows in found["cases"].items():
        assert set(rows) == {ALONE, *VARIANTS}
        for name, row in rows.items():
            assert row["exchanges"] > 0, (case, name)
            assert row["errors"] == {}, (case, name)
            assert (row["late_p50_ms"] is not None) == case.startswith("paced"), (case, name)
            assert f"| {name} |" in done.stdout
