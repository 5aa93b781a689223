"""Headers of form parts and the boundary: what is read, and that nothing with two readings is."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.errors import DecodeError
from extproc.framing.partheader import Header, boundary, read, text, written


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ("Multipart/Form-Data;boundary=abc", b"abc"),
        ('multipart/form-data; boundary="a (b) c"', None),
        ('multipart/form-data; boundary="a,(b)"', b"a,(b)"),
        ('multipart/form-data; charset=UTF-8; boundary="----=_Part_1"', b"----=_Part_1"),
        ("multipart/form-data; boundary=----=_Part_1_2.3", b"----=_Part_1_2.3"),
        ("multipart/form-data; BOUNDARY=abc ", b"abc"),
        ("multipart/form-data; boundary=" + "a" * 70, b"a" * 70),
        ("multipart/form-data; boundary=" + "a" * 71, None),
        ("multipart/form-data", None),
        ("multipart/form-data; boundary=", None),
        ('multipart/form-data; boundary=""', None),
        ("multipart/form-data; boundary=a; boundary=b", None),
        ("multipart/form-data; boundary=a,multipart/form-data", None),
        ("multipart/form-data; boundary=a, multipart/form-data; boundary=b", None),
        ("multipart/form-data; boundary*=utf-8''a", None),
        ("multipart/form-data; boundary=a; charset=utf-16", None),
        ("multipart/form-data; boundary=a; other=b", None),
        ("multipart/form-data; boundary=a;", None),
        ("multipart/form-data; boundary=a(comment)", None),
        ("multipart/form-data boundary=a", None),
        ("multipart/form-data; boundary=é", None),
        ("multipart/mixed; boundary=a", None),
        ("application/json", None),
        ("", None),
    ],
)
def test_boundary(content_type, expected):
    if expected is None:
        with pytest.raises(DecodeError):
            boundary(content_type)
    else:
        assert boundary(content_type) == expected


def field(disposition, *more):
    return "\r\n".join((f"Content-Disposition: {disposition}", *more)).encode()


NET = "form-data; name=file; filename=a.wav; filename*=utf-8''a.wav"
NET_ENCODED = "form-data; name=file; filename=\"=?utf-8?B?w6kud2F2?=\"; filename*=utf-8''%C3%A9.wav"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (field('form-data; name="a"'), Header("a", None, "", "", None)),
        (b"content-disposition:form-data;name=a", Header("a", None, "", "", None)),
        (field('form-data; name="a"', "Content-Type: text/plain; charset=UTF-8"),
         Header("a", None, "text/plain; charset=UTF-8", "utf-8", None)),
        (field('form-data; name="a b"', "Content-Length: 12", "Content-Transfer-Encoding: 8bit"),
         Header("a b", None, "", "", 12)),
        (field('form-data; name="é"; filename="ä;x=1.wav"', "content-type: audio/wav"),
         Header("é", "ä;x=1.wav", "audio/wav", "", None)),
        (field(NET), Header("file", "a.wav", "", "", None)),
        (field(NET_ENCODED), Header("file", "é.wav", "", "", None)),
        (field("form-data; name=file; filename*=UTF-8'en'%e2%82%ac"), Header("file", "€", "", "", None)),
    ],
)  # fmt: skip
def test_what_is_read(raw, expected):
    assert read(raw) == expected


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"Content-Type: text/plain",
        field("attachment; name=a"),
        field("form-data"),
        field('form-data; name=""'),
        field('form-data; filename="a"'),
        field('form-data; name="a"; name="b"'),
        field('form-data; name="a"; NAME="b"'),
        field("form-data; name*=utf-8''a"),
        field('form-data; name="a"; size=1'),
        field('form-data; name="a\\"; filename=\\"b"'),
        field('form-data; name="a"; filename="b\\c"'),
        field('form-data; name="a"; filename=""'),
        field('form-data; name="a"; filename="b'),
        field('form-data; name="a" filename="b"'),
        field('form-data; name="a";'),
        field("form-data; name=a b"),
        field('form-data; name="a\0"'),
        field('form-data; name="a\nb"'),
        field('form-data; name="a"; filename="b"; filename*=utf-8\'\'c'),
        field('form-data; name="a"; filename="=?utf-8?B?w6k=?="; filename*=utf-8\'\'c'),
        field('form-data; name="a"; filename="=?utf-8?B?w6k?="; filename*=utf-8\'\'%C3%A9'),
        field('form-data; name="a"; filename="=?utf-8?B?/w==?="; filename*=utf-8\'\'c'),
        field("form-data; name=a; filename*=utf-8''%FF"),
        field("form-data; name=a; filename*=utf-8''%0Ab"),
        field("form-data; name=a; filename*=utf-8''%zz"),
        field("form-data; name=a; filename*=iso-8859-1''b"),
        field('form-data; name="a"', 'Content-Disposition: form-data; name="b"'),
        field('form-data; name="a"', " continued"),
        field('form-data; name="a"', "X-Other: 1"),
        field('form-data; name="a"', "Content-Type : text/plain"),
        field('form-data; name="a"', "Content-Type: text"),
        field('form-data; name="a"', "Content-Type: text/plain charset=utf-8"),
        field('form-data; name="a"', "Content-Type: audio/wav"),
        field('form-data; name="a"', "Content-Type: application/octet-stream"),
        field('form-data; name="a"; filename="b"', "Content-Type: multipart/mixed; boundary=c"),
        field('form-data; name="a"; filename="b"', "Content-Type: Message/rfc822"),
        field('form-data; name="a"; filename="b"', "Content-Transfer-Encoding: base64"),
        field('form-data; name="a"', "Content-Length: -1"),
        field('form-data; name="a"', "Content-Length: \u0661"),
        b'Content-Disposition: form-data; name="\xff"',
        b'Content-Disposition: form-data; name="a"\nContent-Type: text/plain',
    ],
)
def test_what_has_no_or_two_readings(raw):
    with pytest.raises(DecodeError):
        read(raw)


@pytest.mark.parametrize(
    ("charset", "content", "expected"),
    [
        ("", "é".encode(), "é"),
        ("utf-8", "é".encode(), "é"),
        ("iso-8859-1", b"plain", "plain"),
        ("iso-8859-1", "é".encode(), None),
        ("utf-7", b"plain", None),
        ("", b"\xff", None),
    ],
)
def test_the_text_of_a_field(charset, content, expected):
    header = Header("a", None, "text/plain", charset, None)
    if expected is None:
        with pytest.raises(DecodeError):
            text(header, content)
    else:
        assert text(header, content) == expected


NAMES = st.text(st.characters(codec="utf-8", exclude_characters='"\\\x7f', exclude_categories=("Cc",)), min_size=1)


@given(NAMES, st.none() | NAMES)
def test_what_is_written_is_read(name, filename):
    content_type = "audio/wav" if filename else ""
    raw = written(name, filename, content_type)
    assert raw.endswith(b"\r\n\r\n")
    assert read(raw[:-4]) == Header(name, filename, content_type, "", None)


def test_what_cannot_stand_in_a_name_is_escaped_in_a_files_and_refused_in_a_fields():
    assert read(written("a", 'x"\r\n\\')[:-4]).filename == "x%22%0D%0A%5C"
    assert read(written("a", "")[:-4]).filename == "_"
    for name in ("", 'a"', "a\\", "a\nb"):
        with pytest.raises(DecodeError):
            written(name)
    with pytest.raises(DecodeError):
        written("a", "b", "audio/wav\r\nX: 1")


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda each: field(f"form-data; {each}")))
def test_any_bytes_are_read_or_refused(raw):
    with contextlib.suppress(DecodeError):
        assert read(raw).name


@given(st.text(max_size=100) | st.text(max_size=50).map(lambda each: f"multipart/form-data; boundary={each}"))
def test_any_content_type_is_read_or_refused(content_type):
    with contextlib.suppress(DecodeError):
        assert 1 <= len(boundary(content_type)) <= 70
