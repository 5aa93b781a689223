"""llm-extproc: an LLM firewall and gateway that lives inside Envoy."""

from extproc.version import __version__

__all__ = ["__version__"]
