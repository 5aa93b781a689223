"""Header blocks (HPACK, RFC 7541): read by the `hpack` library, and from memory where they repeat.

Our settings forbid the peer a dynamic table. Once it has acknowledged that, a block means the same whenever it comes, and
Envoy sends the same one for every stream: looking it up costs a hundredth of decoding it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import hpack

from extproc.transport.http2.frames import COMPRESSION_ERROR, ConnectionFault

Headers = Mapping[str, str]

LARGEST_LIST: Final = 64 << 10
"""Bytes of all headers of a request together (SETTINGS_MAX_HEADER_LIST_SIZE)."""
_NO_TABLE: Final = b"\x20"
_REMEMBERED: Final = 64
_WORTH_REMEMBERING: Final = 2048


class BlockReader:
    """Decodes the header blocks of one connection, which must come in order: HPACK has state."""

    def __init__(self) -> None:
        self._decoder = hpack.Decoder(max_header_list_size=LARGEST_LIST)
        self._known: dict[bytes, Headers] = {}

    def without_table(self) -> None:
        """The peer has acknowledged that there is no dynamic table."""
        self._decoder.max_allowed_table_size = 0

    def read(self, block: bytes) -> Headers:
        """The headers of a block; of a name that comes twice, the last value.

        Raises:
            ConnectionFault: it cannot be decoded, or is too large: the state is lost, and the connection with it.
        """
        known = self._known.get(block)
        if known is not None:
            return known
        try:
            headers = {_text(name): _text(value) for name, value in self._decoder.decode(block, raw=True)}
        except hpack.HPACKError:
            raise ConnectionFault(COMPRESSION_ERROR, "a header block that cannot be decoded") from None
        # not before the acknowledgement: until then the peer may still widen the table, which changes what blocks do to it
        if self._decoder.max_allowed_table_size == 0 and len(block) <= _WORTH_REMEMBERING:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[block] = headers
        return headers


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def block(headers: Iterable[tuple[str, str]]) -> bytes:
    """A header block that leaves no trace in the peer's state: it may be sent at any time, any number of times.

    It begins by giving up the dynamic table: a peer that has made it smaller must be told so before anything else.
    """
    encoder = hpack.Encoder()
    return _NO_TABLE + encoder.encode(
        [hpack.NeverIndexedHeaderTuple(name, value) for name, value in headers], huffman=False
    )
