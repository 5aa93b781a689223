"""Scenes: each plays one short story on a ``Stage``, and claims only what it has seen."""
