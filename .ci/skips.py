"""Fails when a test was skipped for another reason than a missing Docker engine; prints the count last.

Its argument is the folder with the files that `pytest --junitxml=FILE` wrote.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

_FILES = 3


def main(path: Path) -> int:
    """Read the results; status 1 on a failure, on an unexcused skip, and when nothing ran."""
    files = sorted(path.glob("*.xml"))
    if len(files) != _FILES:
        print(f"{_FILES - len(files)} test results are missing: pytest did not get that far")
        return 1
    counts: Counter[str] = Counter()
    unexcused: Counter[str] = Counter()
    for case in (case for file in files for case in ElementTree.parse(file).iter("testcase")):  # noqa: S314 (our own)
        outcome, reason = _outcome(case)
        counts[outcome] += 1
        if outcome == "skipped" and "Docker" not in reason:
            unexcused[reason] += 1
    for reason, number in unexcused.items():
        print(f"skipped, and only tests that need Docker may be: {number} x {reason}")
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return int(bool(unexcused or counts["failed"] or not counts["passed"]))


def _outcome(case: ElementTree.Element) -> tuple[str, str]:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed", ""
    skipped = case.find("skipped")
    if skipped is None or skipped.get("type") == "pytest.xfail":
        return "passed", ""
    message = skipped.get("message") or ""
    # a module that skips itself has its reason in the text alone
    return "skipped", (skipped.text or message if message == "collection skipped" else message)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
