"""Policies: text in, verdicts out. Nothing in here knows JSON, SSE, HTTP or Envoy."""
