"""Where the files of one running gateway are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths as Envoy is to see them.

    ``run`` is for this run alone; ``cert`` and ``key`` are the listener's certificate (unused without TLS); ``ca`` the
    bundle that provider certificates are checked with; ``processors`` the addresses of the workers: absolute socket
    paths, or HOST:PORT; ``envoy`` the version of Envoy that reads the files, empty for the newest.
    """

    run: Path
    cert: Path
    key: Path
    ca: str
    processors: tuple[str, ...]
    envoy: str = ""

    @property
    def bootstrap(self) -> Path:
        """Envoy's own file."""
        return self.run / "envoy.yaml"

    @property
    def xds(self) -> Path:
        """The folder Envoy watches."""
        return self.run / "xds"

    @property
    def clusters(self) -> Path:
        """Model groups and their backends (CDS)."""
        return self.xds / "clusters.yaml"

    @property
    def routes(self) -> Path:
        """What leads to them (RDS)."""
        return self.xds / "routes.yaml"

    @property
    def admin(self) -> Path:
        """Where Envoy writes the address of its admin interface."""
        return self.run / "admin.txt"
