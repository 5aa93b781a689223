"""How well the detectors do: one table a kind, by family. Usage: python -m tests.detect [KIND …]

A kind is measured by the module of its name in this folder, whose ``rows()`` gives ``table.Row`` and whose ``NOTES`` says what
is counted. A kind without one has not been measured yet.
"""

import importlib
import pkgutil
import sys
from pathlib import Path

from tests.detect.table import render

_FRAME = ("__main__", "made", "table")


def kinds():
    """Names of the kinds that are measured."""
    names = [module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])]
    return [name for name in names if name not in _FRAME and not name.startswith("test_")]


def main(wanted):
    unknown = set(wanted) - set(kinds())
    if unknown:
        raise SystemExit(f"not measured: {', '.join(sorted(unknown))}; there are {', '.join(kinds())}")
    for name in wanted or kinds():
        module = importlib.import_module(f"tests.detect.{name}")
        if hasattr(module, "rows"):
            sys.stdout.write(f"\n{name}: {module.NOTES}\n\n{render(module.rows())}\n")
        else:
            module.main()


if __name__ == "__main__":
    main(sys.argv[1:])
