"""HTTP/2 for one trusted peer, without input or output: bytes in, bytes out (RFC 9113)."""
