"""Envoy: its configuration rendered from ours, its binary found, its process started. No other module knows its YAML."""
