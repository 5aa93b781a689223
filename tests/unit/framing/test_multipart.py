"""Forms: read as their senders and other readers mean them, refused where readers differ, and made again unharmed."""

import email.parser
import email.policy
import io
import os

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.errors import DecodeError, LimitExceeded, Unrepresentable
from extproc.framing.jsontext import dump
from extproc.framing.jsontext import parse as parse_json
from extproc.framing.multipart import MAX_HEADER, MAX_PARTS, Fields, affirmed, parse

FIELDS = Fields(files=frozenset({"file", "image", "mask"}), numbers=frozenset({"n", "temperature"}))
TYPE = "multipart/form-data; boundary=BOUNDARY"


def body(*parts, end=b"--BOUNDARY--\r\n"):
    """A form of parts as (headers, content)."""
    return b"".join(b"--BOUNDARY\r\n%s\r\n\r\n%s\r\n" % part for part in parts) + end


def named(name, content=b"x", more=b""):
    return b'Content-Disposition: form-data; name="%s"%s' % (name.encode(), more), content


def upload(name, content=b"\0\xff", filename="a.bin"):
    return named(name, content, b'; filename="%s"\r\nContent-Type: audio/wav' % filename.encode())


def read(*parts):
    return parse(TYPE, body(*parts), FIELDS).value()


def refused(raw, content_type=TYPE):
    with pytest.raises(DecodeError):
        parse(content_type, raw, FIELDS)


# as senders mean it


def test_a_form_is_a_value():
    form = [
        named("model", b"m"),
        named("prompt", "h\r\né".encode()),
        named("n", b"2"),
        named("temperature", b"0.5"),
        named("languages", b"en"),
        named("languages", b"de"),
        named("include[]", b"logprobs"),
        named("chunking_strategy[type]", b"server_vad"),
        named("chunking_strategy[a][b]", b""),
        named("size", b"42"),
        upload("file", filename="ä.wav"),
    ]
    assert read(*form) == {
        "model": "m",
        "prompt": "h\r\né",
        "n": 2,
        "temperature": 0.5,
        "languages": ["en", "de"],
        "include": ["logprobs"],
        "chunking_strategy": {"type": "server_vad", "a": {"b": ""}},
        "size": "42",
        "file": {"filename": "ä.wav", "content_type": "audio/wav"},
    }
    assert read() == {}


@pytest.mark.parametrize("text", ["", " 2", "2 ", "02", "+2", "2.", "1e1", "٢", "1" * 16, "-", "NaN", "2\n", "0x2"])
def test_what_is_no_plain_number_stays_a_text(text):
    assert read(named("n", text.encode())) == {"n": text}


@pytest.mark.parametrize("number", [0, -3, 10**14, 0.25, -1.5])
def test_numbers(number):
    assert read(named("n", str(number).encode())) == {"n": number}
    assert read(named("size", str(number).encode())) == {"size": str(number)}


def test_what_surrounds_a_form():
    form = body(named("a"))
    for raw in (form, form.removesuffix(b"\r\n"), b"\r\n" + form):
        assert parse(TYPE, raw, FIELDS).value() == {"a": "x"}


TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
NAMES = st.sampled_from(["model", "prompt", "a b", "languages[]", "user", "c[type]", "c[x]", "é"])
BLOBS = st.binary(max_size=100) | st.sampled_from([b"", b"\r\n", b"--", b"\r\n--", b"\r\n--\r\n\r\n", b"-" * 99])


@given(
    st.dictionaries(NAMES, TEXTS),
    st.lists(
        st.tuples(st.sampled_from(["file", "mask", "image[]"]), BLOBS), max_size=3, unique_by=lambda each: each[0]
    ),
    st.sampled_from(["abc", "----WebKitFormBoundary7MA4YWxkTrZu0gW", "-------------------------1"]),
)
def test_what_httpx_sends_is_what_the_email_parser_and_we_read(fields, files, boundary):
    sent = [(name, (f"{index}.bin", content, "audio/wav")) for index, (name, content) in enumerate(files)]
    headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
    request = httpx.Request(
        "POST", "http://h/", data=fields, files=sent or {"file": ("x", b"", "a/b")}, headers=headers
    )
    raw, content_type = request.read(), request.headers["content-type"]
    if raw.count(b"--" + boundary.encode()) != raw.count(b"Content-Disposition") + 1:
        refused(raw, content_type)
        return
    value = parse(content_type, raw, FIELDS).value()
    for name, text in fields.items():
        node = value
        for step in name.removesuffix("]").replace("]", "").split("["):
            node = node[step] if step else node[0]
        assert node == text
    for index, (name, _) in enumerate(files):
        leaf = value[name.removesuffix("[]")]
        assert (leaf[0] if name.endswith("[]") else leaf) == {"filename": f"{index}.bin", "content_type": "audio/wav"}
    whole = b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + raw
    other = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(whole)
    assert len(list(other.iter_parts())) == len(fields) + max(len(files), 1)


def sent_by_sdk(call):
    """(content type, body) of what the SDK sends."""
    seen = []

    def answer(request):
        seen.append((request.headers["content-type"], request.read()))
        return httpx.Response(200, json={"text": "", "created": 1})

    transport = httpx.MockTransport(answer)
    with openai.OpenAI(api_key="k", base_url="http://h/v1", http_client=httpx.Client(transport=transport)) as client:
        call(client)
    return seen[0]


def test_what_the_sdk_sends():
    file = ("speech.wav", io.BytesIO(os.urandom(1000)), "audio/wav")
    content_type, raw = sent_by_sdk(
        lambda client: client.audio.transcriptions.create(
            file=file,
            model="gpt-4o-transcribe",
            prompt='Hello "there"',
            include=["logprobs"],
            temperature=0.2,
            chunking_strategy={"type": "server_vad", "threshold": 0.5},
            known_speaker_names=["Anna", "Bob"],
        )
    )
    assert parse(content_type, raw, FIELDS).value() == {
        "file": {"filename": "speech.wav", "content_type": "audio/wav"},
        "model": "gpt-4o-transcribe",
        "prompt": 'Hello "there"',
        "include": ["logprobs"],
        "temperature": 0.2,
        "chunking_strategy": {"type": "server_vad", "threshold": "0.5"},
        "known_speaker_names": ["Anna", "Bob"],
    }
    content_type, raw = sent_by_sdk(
        lambda client: client.images.edit(image=[b"1", b"2"], mask=b"3", prompt="a cat", model="gpt-image-1", n=2)
    )
    value = parse(content_type, raw, FIELDS).value()
    assert value["n"] == 2
    assert len(value["image"]) == 2
    assert value["mask"]["filename"]


# what readers differ on

FORM = body(named("a", b"1"), upload("file", b"\0" * 10))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"--BOUNDARY",
        b"preamble\r\n" + FORM,
        b" " + FORM,
        b"\n" + FORM,
        FORM + b"epilogue",
        FORM + b"\r\n",
        FORM + FORM,
        FORM.replace(b"\r\n", b"\n"),
        FORM.replace(b"--BOUNDARY\r\n", b"--BOUNDARY \r\n"),
        FORM.replace(b"--BOUNDARY\r\n", b"--BOUNDARY\n", 1),
        body(named("a", b"--BOUNDARY")),
        body(named("a", b"\n--BOUNDARY\n")),
        body(named("a", b"\r\n--BOUNDARY")),
        body(named("a", b"\r\n--BOUNDARY-")),
        body(named("a", b"\r\n--BOUNDARYX")),
        body(named("a", b"\r\n--BOUNDARY--")),
        b"--BOUNDARY\r\n\r\nno headers\r\n--BOUNDARY--\r\n",
        b'--BOUNDARY\r\nContent-Disposition: form-data; name="a"\r\n--BOUNDARY--\r\n',
        b'--BOUNDARY\r\nContent-Disposition: form-data; name="a"\r\n\r\n--BOUNDARY--\r\n',
        b"--BOUNDARY\r\n--BOUNDARY--\r\n",
        body(named("a", b'x\n--BOUNDARY\r\nContent-Disposition: form-data; name="b"\r\n\r\ny')),
        FORM.replace(b"--BOUNDARY\r\n", b"--BOUNDARYxx", 1),
        FORM.replace(b"--BOUNDARY\r\n", b"--BOUNDARY \n", 1),
        body(named("a", b"\xff")),
        body(named("a", b"xx", b"\r\nContent-Length: 1")),
        body(named("_charset_", b"iso-8859-1")),
        body(named("a"), named("a[]")),
        body(named("a"), named("a[b]")),
        body(named("a[b]"), named("a[b][c]")),
        body(named("a"), named("A")),
        body(named("a[b]"), named("A[c]")),
        body(named("a[")),
        body(named("a]")),
        body(named("[]")),
        body(named("[a]")),
        body(named("a[][b]")),
        body(named("a[b]c")),
        body(named("a" + "[b]" * 9)),
        body(named("a" * 257)),
        body(upload("prompt")),
        body(upload("c[file]")),
        body(upload("other[]")),
    ],
)
def test_what_has_no_or_two_readings_is_refused(raw):
    assert parse(TYPE, FORM, FIELDS).value()["a"] == "1"
    refused(raw)


def test_every_beginning_of_a_form_is_refused():
    raw = FORM.removesuffix(b"\r\n")
    for end in range(len(raw)):
        refused(raw[:end])


def test_caps():
    parts = [named(f"n{number}") for number in range(MAX_PARTS)]
    assert len(read(*parts)) == MAX_PARTS
    with pytest.raises(LimitExceeded):
        read(*parts, named("more"))
    with pytest.raises(LimitExceeded):
        read((b"Content-Disposition: form-data; name=" + b"a" * MAX_HEADER, b""))
    with pytest.raises(LimitExceeded):
        parse(TYPE, body((b"X: 1\r\n" * MAX_HEADER, b"")), FIELDS)


@given(st.binary(max_size=300), st.data())
def test_any_bytes_are_read_or_refused(junk, data):
    at = data.draw(st.integers(0, len(FORM)))
    length = data.draw(st.integers(0, 5))
    for raw in (junk, FORM[:at] + junk + FORM[at + length :], body((junk, junk)), body(named("a", junk))):
        try:
            value = parse(TYPE, raw, FIELDS).value()
        except (DecodeError, LimitExceeded):
            continue
        assert parse_json(dump(value)) == value


# the same form again

LEAVES = st.text(st.characters(codec="utf-8"), max_size=10)
FILENAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc",), exclude_characters='"\\'), min_size=1)
FILES = st.fixed_dictionaries({"filename": FILENAMES, "content_type": st.sampled_from(["", "audio/wav", "a/b; c=d"])})
VALUES = st.fixed_dictionaries(
    {"model": LEAVES},
    optional={
        "prompt": LEAVES,
        "n": st.integers(-9, 99) | st.sampled_from([0.5, -1.25]),
        "languages": st.lists(LEAVES, min_size=1, max_size=3),
        "strategy": st.fixed_dictionaries({"type": LEAVES}, optional={"x": st.lists(LEAVES, min_size=1, max_size=2)}),
    },
)


@given(VALUES, VALUES, st.lists(st.tuples(FILES, BLOBS, FILES), max_size=3), st.booleans())
def test_what_is_built_is_read_back(before, after, files, single):
    name = "file" if single and len(files) == 1 else "image[]"

    def with_files(value, which):
        found = [each[which] for each in files]
        return {**value, name.removesuffix("[]"): found if name == "image[]" else found[0]} if files else value

    parts = []
    for about, content, _ in files:
        kind = b"\r\nContent-Type: " + about["content_type"].encode() if about["content_type"] else b""
        parts.append(named(name, content, b'; filename="%s"%s' % (about["filename"].encode(), kind)))
    first = parse(TYPE, body(*parts), FIELDS)
    for value in (with_files(before, 0), with_files(after, 2), with_files(before, 2)):
        raw, content_type = first.build(parse_json(dump(value)))
        form = parse(content_type, raw, FIELDS)
        assert form.value() == value
        assert [bytes(part.content) for known in form._fields.values() for part in known.parts if part.file] == [
            content for _, content, _ in files
        ]
        first = form


def test_what_is_not_touched_keeps_its_bytes():
    parts = [
        (b"content-disposition: form-data ; name=prompt\r\nContent-Type: text/plain; charset=utf-8", b"secret"),
        (b"CONTENT-DISPOSITION:form-data;name=model\r\ncontent-type:text/plain", b"m"),
        (b'content-disposition: form-data; filename=a ; name="file"', os.urandom(100)),
    ]
    form = parse(TYPE, body(*parts), FIELDS)
    raw, _ = form.build({**form.value(), "prompt": "[gone]", "user": "u", "strict": True, "temperature": 0.5})
    for head, content in parts[1:]:
        assert b"%s\r\n\r\n%s\r\n--" % (head, content) in raw
    assert b"secret" not in raw
    value = parse(
        raw.split(b"\r\n")[0].decode().replace("--", "multipart/form-data; boundary=", 1), raw, FIELDS
    ).value()
    assert value == {**form.value(), "prompt": "[gone]", "user": "u", "strict": "true", "temperature": 0.5}


def test_elements_of_a_list_keep_their_bytes_and_their_way_of_being_one():
    form = parse(TYPE, body(named("a", b"1"), named("a", b"2"), named("b[]", b"3"), named("n", b"1")), FIELDS)
    raw, _ = form.build({"a": ["1", "x"], "b": ["y"], "n": True})
    for name, content in (("a", b"1"), ("a", b"x"), ("b[]", b"y"), ("n", b"true")):
        assert b"%s\r\n\r\n%s\r\n--" % named(name, content) in raw
    assert raw.count(b"Content-Disposition") == 4


def test_a_form_without_a_field():
    form = parse(TYPE, body(named("a"), named("b[]"), upload("file")), FIELDS)
    for gone in ({}, {"a": None, "b": None, "file": None}, {"b": []}):
        raw, content_type = form.build(gone)
        assert parse(content_type, raw, FIELDS).value() == {}
    raw, content_type = form.build({"b": "now alone"})
    assert parse(content_type, raw, FIELDS).value() == {"b": "now alone"}


@pytest.mark.parametrize(
    "value",
    [
        {"file": "text"},
        {"file": {"filename": "a"}},
        {"file": {"filename": "a", "content_type": 1}},
        {"file": {"filename": "a", "content_type": "audio/wav\r\n\r\n"}},
        {"file": {"filename": "a", "content_type": "multipart/mixed"}},
        {"file": [{"filename": "a.bin", "content_type": "audio/wav"}] * 2},
        {"file": []},
        {'a"': "x"},
        {"a[": "x"},
        {"a[b]": "x"},
        {"": "x"},
        {"a": [["x"]]},
        {"a": [{"b": 1}]},
        {"a": [None]},
    ],
)
def test_what_a_form_cannot_say(value):
    form = parse(TYPE, body(upload("file")), FIELDS)
    with pytest.raises(Unrepresentable):
        form.build(value)


def test_a_new_boundary_stands_nowhere_in_the_content(monkeypatch):
    tokens = iter(["taken", "taken", "free"])
    monkeypatch.setattr("extproc.framing.multipart.secrets.token_hex", lambda _: next(tokens))
    form = parse(TYPE, body(upload("file", b"\r\n--llm-extproc-taken--")), FIELDS)
    raw, content_type = form.build(form.value())
    assert content_type == "multipart/form-data; boundary=llm-extproc-free"
    assert parse(content_type, raw, FIELDS).value() == form.value()


@pytest.mark.parametrize(
    ("value", "yes"),
    [(True, True), ("true", True), (" True ", True), ("1", True), ("on", True)]
    + [(value, False) for value in (False, None, 1, "", "false", "0", "no", ["true"], {})],
)
def test_what_says_yes(value, yes):
    assert affirmed(value) is yes
