"""Providers as data: where they are, how they are authenticated, which names their models have."""
