"""Our declaration of the protocol against the true one: the descriptors inside the Envoy binary itself."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extproc import wire
from extproc._pb import ext_proc_pb2 as pb
from extproc.envoy import binary
from extproc.errors import StartupError
from tests.service.descriptors import Binary, nested

pytestmark = pytest.mark.envoy

FILE = "envoy/service/ext_proc/v3/external_processor.proto"
CORE = {"HeaderValue", "HeaderMap", "HeaderValueOption", "Metadata"}
ENUMS = {"AppendAction": "HeaderAppendAction", "ResponseStatus": "ResponseStatus"}
OURS = {
    name: each
    for top in pb.DESCRIPTOR.message_types_by_name.values()
    for each in nested(top)
    for name in [each.full_name]
}
ENTRIES = [name for name, each in OURS.items() if not each.GetOptions().map_entry]


@cache
def _pool() -> Any:
    try:
        path = binary.find()
    except StartupError as error:
        pytest.skip(str(error))
    with_descriptors = Binary(path)
    try:
        return with_descriptors.pool(FILE)
    finally:
        with_descriptors.close()


def theirs(ours: Descriptor) -> Descriptor:
    """Envoy's message for one of ours."""
    if ours.containing_type:
        return theirs(ours.containing_type).nested_types_by_name[ours.name]
    if not ours.full_name.startswith("llm.extproc.wire."):
        return _pool().FindMessageTypeByName(ours.full_name)
    package = (
        "envoy.config.core.v3"
        if ours.name in CORE
        else "envoy.type.v3"
        if ours.name == "HttpStatus"
        else "envoy.service.ext_proc.v3"
    )
    return _pool().FindMessageTypeByName(f"{package}.{ours.name}")


def test_the_binary_has_what_we_compare_with() -> None:
    service = _pool().FindServiceByName(wire.SERVICE)
    method = service.methods_by_name[wire.METHOD]
    assert method.input_type.name == "ProcessingRequest"
    assert method.output_type.name == "ProcessingResponse"
    assert (method.client_streaming, method.server_streaming) == (True, True)
    assert len(ENTRIES) > 15
    assert {each.name for each in method.input_type.fields} > {
        each.name for each in OURS["llm.extproc.wire.ProcessingRequest"].fields
    }


@pytest.mark.parametrize("name", ENTRIES)
def test_every_field_is_theirs(name: str) -> None:
    ours = OURS[name]
    true = theirs(ours)
    for field in ours.fields:
        other = true.fields_by_number.get(field.number)
        assert other is not None, f"{true.full_name} has no field {field.number}"
        assert _shape(field) == _shape(other), f"{name}.{field.name}"


def _shape(field: FieldDescriptor) -> dict[str, Any]:
    kind = field.type
    if field.containing_type.name == "HttpStatus" and kind == FieldDescriptor.TYPE_ENUM:
        kind = FieldDescriptor.TYPE_INT32  # the same bytes; ours takes every number
    found: dict[str, Any] = {
        "name": field.name,
        "number": field.number,
        "type": kind,
        "repeated": field.is_repeated,
        "oneof": field.containing_oneof.name if field.containing_oneof else None,
        "presence": field.has_presence,
    }
    if field.message_type:
        entry = field.message_type.GetOptions().map_entry
        found["map"] = [_shape(each) for each in field.message_type.fields] if entry else None
        found["message"] = None if entry else field.message_type.name
    return found


def test_every_enum_is_theirs() -> None:
    seen = 0
    for ours in OURS.values():
        for enum in ours.enum_types:
            other = theirs(ours).enum_types_by_name[ENUMS[enum.name]]
            values = {value.name: value.number for value in other.values}
            assert {value.name: value.number for value in enum.values}.items() <= values.items()
            seen += 1
    assert seen == 2


def test_a_wrong_field_would_be_noticed() -> None:
    """The comparison compares: two fields of one message are not alike."""
    fields = OURS["llm.extproc.wire.HttpHeaders"].fields
    assert _shape(fields[0]) != _shape(fields[1])
    body, clear = OURS["llm.extproc.wire.BodyMutation"].fields[:2]
    assert _shape(body) != _shape(clear)


# random messages, there and back


def _class(descriptor: Descriptor) -> Any:
    return message_factory.GetMessageClass(descriptor)


_SCALARS = {
    FieldDescriptor.TYPE_STRING: st.text(max_size=20),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=20),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: st.integers(0, 2**64 - 1),
    FieldDescriptor.TYPE_DOUBLE: st.floats(allow_nan=False),
    FieldDescriptor.TYPE_FLOAT: st.floats(width=32, allow_nan=False),
}
_DEPTH = 5


def fill(draw: Any, message: Message, depth: int = 0) -> Message:
    """Set random fields; of a oneof at most one."""
    for field in message.DESCRIPTOR.fields:
        if field.containing_oneof and message.WhichOneof(field.containing_oneof.name):
            continue
        if depth >= _DEPTH or not draw(st.booleans()):
            continue
        if field.is_repeated:
            for _ in range(draw(st.integers(0, 2))):
                _add(draw, message, field, depth)
        elif field.message_type:
            child = getattr(message, field.name)
            child.SetInParent()
            fill(draw, child, depth + 1)
        else:
            setattr(message, field.name, draw(_scalar(field)))
    return message


def _add(draw: Any, message: Message, field: FieldDescriptor, depth: int) -> None:
    values = getattr(message, field.name)
    if field.message_type and field.message_type.GetOptions().map_entry:
        key, value = field.message_type.fields
        name = draw(_scalar(key))
        if value.message_type:
            fill(draw, values[name], depth + 2)
        else:
            values[name] = draw(_scalar(value))
    elif field.message_type:
        fill(draw, values.add(), depth + 1)
    else:
        values.append(draw(_scalar(field)))


def _scalar(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.type == FieldDescriptor.TYPE_ENUM:
        return st.sampled_from([value.number for value in field.enum_type.values])
    return _SCALARS[field.type]


MESSAGES = ["ProcessingRequest", "ProcessingResponse"]
relaxed = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@pytest.mark.parametrize("name", MESSAGES)
@relaxed
@given(data=st.data())
def test_ours_survives_theirs(name: str, data: st.DataObject) -> None:
    ours = OURS[f"llm.extproc.wire.{name}"]
    message = fill(data.draw, _class(ours)())
    between = _class(theirs(ours)).FromString(message.SerializeToString())
    assert not list(_unknown(between)), "a field of ours is none of theirs"
    back = _class(ours).FromString(between.SerializeToString())
    assert back == message


@pytest.mark.parametrize("name", MESSAGES)
@relaxed
@given(data=st.data())
def test_theirs_survives_ours(name: str, data: st.DataObject) -> None:
    """Every message Envoy can make is read; what we do not know is kept, not refused."""
    ours = OURS[f"llm.extproc.wire.{name}"]
    message = fill(data.draw, _class(theirs(ours))())
    read = _class(ours).FromString(message.SerializeToString())
    assert _class(theirs(ours)).FromString(read.SerializeToString()) == message


def _unknown(message: Message) -> Iterator[int]:
    from google.protobuf.unknown_fields import UnknownFieldSet

    for each in UnknownFieldSet(message):
        yield each.field_number
    for field, value in message.ListFields():
        if field.message_type and not field.message_type.GetOptions().map_entry:
            for child in value if field.is_repeated else [value]:
                yield from _unknown(child)


def test_what_we_send_is_what_they_read() -> None:
    """One effect of each kind, as Envoy would print it."""
    from extproc import events

    response = _class(theirs(OURS["llm.extproc.wire.ProcessingResponse"]))
    change = events.Mutation(set=(("a", "é"),), remove=("b",), reroute=True, metadata={"n": {"x": 1}})
    body = response.FromString(wire.encode(events.ContinueBody(b"{}", change)))
    assert body.request_body.response.body_mutation.body == b"{}"
    assert body.request_body.response.clear_route_cache
    option = body.request_body.response.header_mutation.set_headers[0]
    assert (option.header.key, option.header.raw_value) == ("a", "é".encode())
    assert option.append_action == 2, "OVERWRITE_IF_EXISTS_OR_ADD"
    assert body.dynamic_metadata["n"]["x"] == 1
    sent = response.FromString(wire.encode(events.Send(b"x", end=True)))
    assert sent.response_body.response.body_mutation.streamed_response.end_of_stream
    said = response.FromString(wire.encode(events.Respond(429, (("a", "b"),), b"{}", "llm_x")))
    assert (said.immediate_response.status.code, said.immediate_response.details) == (429, "llm_x")
    dropped = response.FromString(wire.encode(events.DropTrailers(request=False, names=("t",))))
    assert list(dropped.response_trailers.header_mutation.remove_headers) == ["t"]
