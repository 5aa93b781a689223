"""Content codings, cut anywhere, cut short, too long, and too well compressed."""

import gzip
import random
import zlib

import pytest

from extproc.errors import DecodeError, LimitExceeded
from extproc.framing.compression import SUPPORTED, Decoder, coding, decode

TEXT = b"".join(random.Random(1).choices([b"the ", b"quick ", b"brown ", b"fox\n", b"\xc3\xa9"], k=2000))


def raw_deflate(data, level=6):
    packer = zlib.compressobj(level, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def flushed(data):
    """As a server sends a stream: flushed after every part, so that each can be read when it arrives."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    parts = [packer.compress(data[at : at + 100]) + packer.flush(zlib.Z_SYNC_FLUSH) for at in range(0, len(data), 100)]
    return b"".join([*parts, packer.flush()])


CODINGS = [
    ("gzip", gzip.compress(TEXT, mtime=0)),
    ("x-gzip", gzip.compress(TEXT, mtime=0)),
    ("gzip", flushed(TEXT)),
    ("deflate", zlib.compress(TEXT)),
    ("deflate", zlib.compress(TEXT, 0)),
    ("deflate", zlib.compress(TEXT, 9)),
    ("deflate", raw_deflate(TEXT)),
    ("deflate", raw_deflate(TEXT, 0)),
    ("deflate", raw_deflate(TEXT, 9)),
]
every_coding = pytest.mark.parametrize(
    ("name", "packed"), CODINGS, ids=lambda value: value if isinstance(value, str) else str(len(value))
)


def run(name, pieces, max_size=1 << 20):
    decoder = Decoder(name, max_size)
    return b"".join([*(decoder.feed(piece) for piece in pieces), decoder.close()])


def randomly(raw, dice):
    places = sorted(dice.choices(range(len(raw) + 1), k=dice.randint(0, 9)))
    return [raw[start:end] for start, end in zip([0, *places], [*places, len(raw)], strict=True)]


@every_coding
def test_a_body_is_decoded_however_it_is_cut(name, packed):
    assert run(name, [packed]) == TEXT
    assert run(name, [packed[at : at + 1] for at in range(len(packed))]) == TEXT
    for seed in range(30):
        assert run(name, randomly(packed, random.Random(seed))) == TEXT
    assert decode(packed, name, 1 << 20) == TEXT


def test_what_was_flushed_is_given_out_at_once():
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    decoder = Decoder("gzip", 1000)
    for word in (b"one", b"two"):
        assert decoder.feed(packer.compress(word) + packer.flush(zlib.Z_SYNC_FLUSH)) == word


@pytest.mark.parametrize("body", [b"", b"a", TEXT])
def test_empty_and_short_bodies_and_identity(body):
    assert decode(gzip.compress(body), "gzip", 1 << 20) == body
    assert decode(raw_deflate(body), "deflate", 1 << 20) == body
    assert decode(body, "identity", 1) == body
    assert decode(b"", "gzip", 1) == b""


@every_coding
@pytest.mark.parametrize("missing", [1, 4, 9, 200])
def test_a_body_cut_short_is_an_error_at_its_end(name, packed, missing):
    for pieces in ([packed[:-missing]], [packed[: -missing - 5], packed[-missing - 5 : -missing]]):
        with pytest.raises(DecodeError, match="cut short"):
            run(name, pieces)


@every_coding
@pytest.mark.parametrize(
    "more", [b"x", b"\x00", gzip.compress(b"a second member", mtime=0)], ids=["x", "nul", "member"]
)
def test_bytes_after_the_end_are_an_error(name, packed, more):
    for pieces in ([packed + more], [packed, more], [packed[:-1], packed[-1:] + more]):
        with pytest.raises(DecodeError, match="bytes follow the end"):
            run(name, pieces)


@pytest.mark.parametrize("name", ["gzip", "deflate"])
@pytest.mark.parametrize(
    "body",
    [b"\xff\xff\xff", b'{"plain": "json"}', b"\x1f\x8b\xff", gzip.compress(TEXT, mtime=0)[:50] + b"\x00" * 50],
    ids=range(4),
)
def test_what_is_not_the_coding_is_an_error(name, body):
    with pytest.raises(DecodeError):
        run(name, [body])


def test_a_wrong_checksum_is_an_error():
    packed = bytearray(gzip.compress(TEXT))
    packed[-6] ^= 1
    with pytest.raises(DecodeError, match="not valid gzip"):
        run("gzip", [bytes(packed)])


@every_coding
def test_more_than_the_cap_is_refused_and_exactly_the_cap_is_not(name, packed):
    bytewise = [packed[at : at + 1] for at in range(len(packed))]
    assert run(name, [packed], len(TEXT)) == run(name, bytewise, len(TEXT)) == TEXT
    for pieces in ([packed], bytewise):
        with pytest.raises(LimitExceeded):
            run(name, pieces, len(TEXT) - 1)


@pytest.mark.parametrize("name", ["gzip", "deflate"])
def test_a_bomb_is_refused_before_it_goes_off(name):
    bomb = gzip.compress(bytes(100 << 20)) if name == "gzip" else zlib.compress(bytes(100 << 20))
    decoder = Decoder(name, 1 << 20)
    with pytest.raises(LimitExceeded):
        decoder.feed(bomb)


def test_a_body_too_well_compressed_is_refused_below_the_cap():
    bomb = gzip.compress(bytes(4 << 20))
    assert len(bomb) * 100 < 4 << 20
    with pytest.raises(LimitExceeded, match="suspiciously"):
        run("gzip", [bomb[at : at + 512] for at in range(0, len(bomb), 512)], 32 << 20)
    assert len(run("gzip", [gzip.compress(bytes(1 << 20))], 32 << 20)) == 1 << 20  # small bodies are exempt


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("", "identity"),
        (" GZIP ", "gzip"),
        ("Deflate", "deflate"),
        ("gzip, br", "gzip, br"),
        ("br", "br"),
        ("identity", "identity"),
    ],
)
def test_the_coding_a_header_names(header, name):
    assert coding(header) == name
    assert (name in SUPPORTED) is (name in {"gzip", "deflate", "identity"})
