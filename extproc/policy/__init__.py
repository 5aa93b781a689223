"""Policies: text in, verdicts out. Nothing in here knows SSE, HTTP or Envoy.

Text policies do not know JSON either. Those that judge a request as a whole read its parsed body, through ``fields``.
"""
