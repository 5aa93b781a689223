"""``python -m tests.e2e.sdk_table``: which SDK got right answers of which provider, whole and streamed, as a table.

A cell says how many of the scenes went right; what did not is listed below. Ends with status 1 if anything did not.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.e2e.matrix import BACKENDS, Matrix, public
from tests.e2e.scenes import PLAIN
from tests.e2e.sdk import CLIENTS
from tests.e2e.test_sdk_matrix import right


def main() -> int:
    begun = time.monotonic()
    matrix = Matrix(Path(tempfile.mkdtemp()))
    problems: list[str] = []
    print(f"| client | {' | '.join(BACKENDS)} |")
    print("|---|" + "---|" * len(BACKENDS))
    try:
        for client in CLIENTS:
            for stream in (False, True):
                cells = [_cell(matrix, client, backend, stream, problems) for backend in BACKENDS]
                print(f"| {client}{', streamed' if stream else ''} | {' | '.join(cells)} |", flush=True)
    finally:
        matrix.stop()
    print(f"\nScenes: {', '.join(PLAIN)}. {time.monotonic() - begun:.0f} s.")
    print("\n".join(problems))
    return 1 if problems else 0


def _cell(matrix: Matrix, client: str, backend: str, stream: bool, problems: list[str]) -> str:
    well = 0
    for scene in PLAIN:
        matrix.begin()
        try:
            said = matrix.clients[client].ask(public(client, backend), scene, stream)
            right(matrix, said, client, backend, scene, stream)
            matrix.end()
        except Exception as error:
            problems.append(f"{client}, {backend}, {scene}, streamed {stream}: {error!r}"[:500])
        else:
            well += 1
    return f"{well}/{len(PLAIN)}"


if __name__ == "__main__":
    sys.exit(main())
