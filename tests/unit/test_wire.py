"""Responses are written by hand: whatever is written, protobuf must read as what was meant."""

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st

from extproc import events, wire
from extproc._pb import ext_proc_pb2 as pb
from extproc.errors import ProtocolError

TEXT = st.text(st.characters(codec="utf-8"), max_size=20) | st.just("long" * 300)
BYTES = st.binary(max_size=20) | st.sampled_from([size * b"x" for size in (127, 128, 1023, 1024, 70_000)])
PAIRS = st.lists(st.tuples(TEXT, TEXT), max_size=4).map(tuple)
NAMES = st.lists(TEXT, max_size=4).map(tuple)
JSON = st.recursive(
    st.none() | st.booleans() | TEXT | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
METADATA = st.none() | st.dictionaries(TEXT, st.dictionaries(TEXT, JSON, max_size=4), max_size=3)
MUTATION = st.builds(events.Mutation, PAIRS, NAMES, st.booleans(), METADATA)


def read(effect):
    return pb.ProcessingResponse.FromString(wire.encode(effect))


def headers(mutation):
    for option in mutation.set_headers:
        assert option.append_action == pb.HeaderValueOption.AppendAction.OVERWRITE_IF_EXISTS_OR_ADD
    pairs = tuple((each.header.key, each.header.raw_value.decode()) for each in mutation.set_headers)
    return pairs, tuple(mutation.remove_headers)


def metadata(response):
    return MessageToDict(response.dynamic_metadata)


@given(MUTATION, BYTES | st.none())
def test_continuing(mutation, body):
    for effect, kind in (
        (events.ContinueRequest(mutation), "request_headers"),
        (events.ContinueResponse(mutation), "response_headers"),
        (events.ContinueBody(body, mutation), "request_body"),
    ):
        response = read(effect)
        assert response.WhichOneof("response") == kind
        common = getattr(response, kind).response
        assert headers(common.header_mutation) == (mutation.set, mutation.remove)
        assert common.clear_route_cache is mutation.reroute
        assert metadata(response) == (mutation.metadata or {})
        if kind == "request_body" and body is not None:
            assert common.body_mutation.body == body
            assert common.body_mutation.WhichOneof("mutation") == "body"
        else:
            assert not common.HasField("body_mutation")


@given(BYTES, st.booleans(), METADATA)
def test_sending(body, end, annotations):
    response = read(events.Send(body, end, annotations))
    assert response.WhichOneof("response") == "response_body"
    mutation = response.response_body.response.body_mutation
    assert mutation.WhichOneof("mutation") == "streamed_response"
    assert (mutation.streamed_response.body, mutation.streamed_response.end_of_stream) == (body, end)
    assert metadata(response) == (annotations or {})


@given(st.integers(100, 599), PAIRS, BYTES, TEXT, METADATA)
def test_answering(status, pairs, body, details, annotations):
    response = read(events.Respond(status, pairs, body, details, annotations))
    said = response.immediate_response
    assert (said.status.code, said.body, said.details) == (status, body, details)
    assert headers(said.headers) == (pairs, ())
    assert metadata(response) == (annotations or {})


@given(NAMES, st.booleans())
def test_dropping_trailers(names, request):
    response = read(events.DropTrailers(request, names))
    kind = "request_trailers" if request else "response_trailers"
    assert response.WhichOneof("response") == kind
    assert tuple(getattr(response, kind).header_mutation.remove_headers) == names


def test_what_is_remembered_of_an_entry_is_its_value_and_its_type():
    for value in (1, True, "1", 1.0, 0, False):
        found = metadata(read(events.Send(b"", False, {"n": {"x": value}})))["n"]["x"]
        assert found == value
        assert isinstance(found, bool) is isinstance(value, bool)


def test_a_close_is_no_message():
    with pytest.raises(ValueError, match="not a message"):
        wire.encode(events.Close())


# requests


@given(st.dictionaries(TEXT, st.dictionaries(TEXT, JSON, max_size=4), max_size=3))
def test_attributes_and_metadata_are_read_as_they_were_written(values):
    message = pb.ProcessingRequest()
    message.request_headers.end_of_stream = True
    for name, each in values.items():
        message.metadata_context.filter_metadata[name].update(each)
        message.attributes[name].update(each)
    event = wire.decode(message.SerializeToString())
    assert event.metadata == values
    assert (
        event.attributes == {name: value for each in values.values() for name, value in each.items()} or len(values) > 1
    )


def header_message(*pairs):
    message = pb.ProcessingRequest()
    message.request_headers.end_of_stream = False
    for name, value in pairs:
        message.request_headers.headers.headers.add(key=name, raw_value=value)
    return message


def test_headers_of_one_name_are_joined_and_names_are_lower_case():
    message = header_message((":path", b"/"), ("a", b"1"), ("A", b"2"), ("b", b"\xff"), ("a", b"3"))
    assert wire.decode(message.SerializeToString()).headers == {":path": "/", "a": "1,2,3", "b": "\ufffd"}
    upper = header_message((":path", b"/"), ("Authorization", b"1"))
    assert wire.decode(upper.SerializeToString()).headers == {":path": "/", "authorization": "1"}


def test_a_header_without_raw_value_is_read_from_its_text():
    message = header_message((":path", b"/"))
    message.request_headers.headers.headers.add(key="a", value="text")
    assert wire.decode(message.SerializeToString()).headers == {":path": "/", "a": "text"}


def test_headers_nobody_looks_at_are_not_read(monkeypatch):
    message = header_message((":path", b"/"), ("A", b"1"), ("a", b"2"))
    reads = []
    monkeypatch.setattr(wire, "_headers", lambda sent, read=wire._headers: reads.append(sent) or read(sent))
    found = wire.decode(message.SerializeToString(), headers=False).headers
    assert not reads
    assert (found, len(found), list(found)) == ({":path": "/", "a": "1,2"}, 2, [":path", "a"])
    assert (found["a"], found.get("b"), "b" in found) == ("1,2", None, False)
    assert len(reads) == 1


@pytest.mark.parametrize("data", [b"", b"\xff\xff", b"\x12"])
def test_what_is_no_request_is_a_protocol_error(data):
    with pytest.raises(ProtocolError):
        wire.decode(data)
