"""Framing: how messages are cut out of bytes (JSON text, server-sent events, compression). Knows no provider's shapes."""
