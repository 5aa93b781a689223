"""Messages of the external-processing protocol, to events and from effects. The only module that touches ``_pb``.

Requests are read by the protobuf runtime. Responses are written by hand, field by field, with the numbers of the generated
descriptors: building message objects only to serialise them took longer than the decisions they carry, and most header
changes are the same for every exchange, so that their bytes are kept.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import starmap
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value

from extproc import events
from extproc._pb import ext_proc_pb2 as pb
from extproc.errors import ProtocolError

SERVICE = "envoy.service.ext_proc.v3.ExternalProcessor"
METHOD = "Process"


# requests


def decode(data: bytes, *, headers: bool = True) -> events.Event:
    """The event of one ProcessingRequest; without ``headers`` those of a request are read when somebody looks at them.

    Raises:
        ProtocolError: no such message, or one of a phase we never ask for.
    """
    try:
        message = pb.ProcessingRequest.FromString(data)
    except Exception:  # protobuf raises its own, unrelated types in its several implementations
        raise ProtocolError("not a ProcessingRequest") from None
    kind = message.WhichOneof("request")
    if kind == "response_body":
        body = message.response_body
        return events.ResponseBody(body.body, body.end_of_stream)
    if kind == "request_body":
        body = message.request_body
        return events.RequestBody(body.body, body.end_of_stream)
    if kind == "request_headers":
        sent = message.request_headers
        found: events.Headers = _headers(sent) if headers else _Later(sent)
        return events.RequestHeaders(found, sent.end_of_stream, _attributes(message), _metadata(message))
    if kind == "response_headers":
        sent = message.response_headers
        return events.ResponseHeaders(_headers(sent), sent.end_of_stream, _attributes(message), _metadata(message))
    if kind == "request_trailers":
        return events.RequestTrailers(tuple(each.key for each in message.request_trailers.trailers.headers))
    if kind == "response_trailers":
        return events.ResponseTrailers(tuple(each.key for each in message.response_trailers.trailers.headers))
    raise ProtocolError("an empty ProcessingRequest")


def _headers(message: pb.HttpHeaders) -> dict[str, str]:
    headers = message.headers.headers
    found = {
        header.key: raw.decode("utf-8", "replace") if (raw := header.raw_value) else header.value for header in headers
    }
    if len(found) == len(headers) and "".join(found).islower():
        return found
    found = {}  # a name that comes twice, or one that Envoy did not write in lower case
    for header in headers:
        value = header.raw_value.decode("utf-8", "replace") if header.raw_value else header.value
        name = header.key.lower()
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


class _Later(Mapping[str, str]):
    """Headers that are read when somebody looks at them."""

    __slots__ = ("_found", "_message")

    def __init__(self, message: pb.HttpHeaders) -> None:
        self._message = message
        self._found: dict[str, str] | None = None

    def _read(self) -> dict[str, str]:
        if self._found is None:
            self._found = _headers(self._message)
        return self._found

    def __getitem__(self, name: str) -> str:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())


def _attributes(message: pb.ProcessingRequest) -> dict[str, Any]:
    found: dict[str, Any] = {}
    attributes = message.attributes
    for name in attributes:
        found |= _struct(attributes[name])
    return found


def _metadata(message: pb.ProcessingRequest) -> dict[str, dict[str, Any]]:
    metadata = message.metadata_context.filter_metadata
    return {name: _struct(metadata[name]) for name in metadata}


def _struct(values: Struct) -> dict[str, Any]:
    fields = values.fields
    return {name: _value(fields[name]) for name in fields}  # ``items`` of these maps is several times slower


def _value(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind == "struct_value":
        return _struct(value.struct_value)
    if kind == "list_value":
        return [_value(each) for each in value.list_value.values]
    return None if kind is None or kind == "null_value" else getattr(value, kind)


# responses


def _tag(message: type[Message], name: str) -> bytes:
    """What stands before a field (protobuf's encoding guide: number and wire type)."""
    field = message.DESCRIPTOR.fields_by_name[name]
    types = {FieldDescriptor.TYPE_BOOL: 0, FieldDescriptor.TYPE_ENUM: 0, FieldDescriptor.TYPE_INT32: 0}
    types[FieldDescriptor.TYPE_DOUBLE] = 1
    return _varint(field.number << 3 | types.get(field.type, 2))


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_SIZES: Final = [_varint(size) for size in range(1024)]


def _field(tag: bytes, payload: bytes) -> bytes:
    """A field of bytes, text or a message."""
    try:
        return tag + _SIZES[len(payload)] + payload
    except IndexError:
        return tag + _varint(len(payload)) + payload


_RESPONSE: Final = pb.ProcessingResponse
_REQUEST_HEADERS: Final = _tag(_RESPONSE, "request_headers")
_RESPONSE_HEADERS: Final = _tag(_RESPONSE, "response_headers")
_REQUEST_BODY: Final = _tag(_RESPONSE, "request_body")
_RESPONSE_BODY: Final = _tag(_RESPONSE, "response_body")
_REQUEST_TRAILERS: Final = _tag(_RESPONSE, "request_trailers")
_RESPONSE_TRAILERS: Final = _tag(_RESPONSE, "response_trailers")
_IMMEDIATE: Final = _tag(_RESPONSE, "immediate_response")
_DYNAMIC_METADATA: Final = _tag(_RESPONSE, "dynamic_metadata")
_HEADERS_COMMON: Final = _tag(pb.HeadersResponse, "response")
_BODY_COMMON: Final = _tag(pb.BodyResponse, "response")
_HEADER_MUTATION: Final = _tag(pb.CommonResponse, "header_mutation")
_BODY_MUTATION: Final = _tag(pb.CommonResponse, "body_mutation")
_REROUTE: Final = _tag(pb.CommonResponse, "clear_route_cache") + b"\x01"
_BODY: Final = _tag(pb.BodyMutation, "body")
_STREAMED: Final = _tag(pb.BodyMutation, "streamed_response")
_STREAMED_BODY: Final = _tag(pb.StreamedBodyResponse, "body")
_STREAMED_END: Final = _tag(pb.StreamedBodyResponse, "end_of_stream") + b"\x01"
_TRAILERS_MUTATION: Final = _tag(pb.TrailersResponse, "header_mutation")
_SET: Final = _tag(pb.HeaderMutation, "set_headers")
_REMOVE: Final = _tag(pb.HeaderMutation, "remove_headers")
_OPTION: Final = _tag(pb.HeaderValueOption, "header")
_OVERWRITE: Final = _tag(pb.HeaderValueOption, "append_action") + _varint(
    pb.HeaderValueOption.AppendAction.OVERWRITE_IF_EXISTS_OR_ADD
)
_NAME: Final = _tag(pb.HeaderValue, "key")
_RAW: Final = _tag(pb.HeaderValue, "raw_value")
_STATUS: Final = _tag(pb.ImmediateResponse, "status")
_CODE: Final = _tag(pb.HttpStatus, "code")
_IMMEDIATE_HEADERS: Final = _tag(pb.ImmediateResponse, "headers")
_IMMEDIATE_BODY: Final = _tag(pb.ImmediateResponse, "body")
_DETAILS: Final = _tag(pb.ImmediateResponse, "details")
_FIELDS: Final = _tag(Struct, "fields")
_FIELD_NAME: Final = _tag(Struct.FieldsEntry, "key")
_FIELD_VALUE: Final = _tag(Struct.FieldsEntry, "value")
_NULL: Final = _tag(Value, "null_value") + b"\x00"
_NUMBER: Final = _tag(Value, "number_value")
_TEXT: Final = _tag(Value, "string_value")
_BOOL: Final = _tag(Value, "bool_value")
_STRUCT: Final = _tag(Value, "struct_value")
_LIST: Final = _tag(Value, "list_value")
_VALUES: Final = _tag(ListValue, "values")


def encode(effect: events.Effect) -> bytes:
    """The ProcessingResponse of one effect (``Close`` has none)."""
    match effect:
        case events.Send(body, end, metadata):
            streamed = _field(_STREAMED_BODY, body) + (_STREAMED_END if end else b"")
            common = _field(_BODY_MUTATION, _field(_STREAMED, streamed))
            return _field(_RESPONSE_BODY, _field(_BODY_COMMON, common)) + _annotations(metadata)
        case events.ContinueRequest(change):
            return _field(_REQUEST_HEADERS, _field(_HEADERS_COMMON, _mutation(change))) + _annotations(change.metadata)
        case events.ContinueBody(body, change):
            common = _mutation(change)
            if body is not None:
                common += _field(_BODY_MUTATION, _field(_BODY, body))
            return _field(_REQUEST_BODY, _field(_BODY_COMMON, common)) + _annotations(change.metadata)
        case events.ContinueResponse(change):
            return _field(_RESPONSE_HEADERS, _field(_HEADERS_COMMON, _mutation(change))) + _annotations(change.metadata)
        case events.DropTrailers(request, names):
            tag = _REQUEST_TRAILERS if request else _RESPONSE_TRAILERS
            return _field(tag, _field(_TRAILERS_MUTATION, _removed(names)))
        case events.Respond(status, headers, body, details, metadata):
            immediate = _field(_STATUS, _CODE + _varint(status)) + _field(_IMMEDIATE_HEADERS, _set(headers))
            immediate += _field(_IMMEDIATE_BODY, body) + _field(_DETAILS, details.encode())
            return _field(_IMMEDIATE, immediate) + _annotations(metadata)
        case events.Close():
            raise ValueError("a close is not a message")


def _mutation(change: events.Mutation) -> bytes:
    if not change.set and not change.remove:
        return _REROUTE if change.reroute else b""
    headers = _set(change.set) + _removed(change.remove)
    return (_field(_HEADER_MUTATION, headers) if headers else b"") + (_REROUTE if change.reroute else b"")


def _set(headers: events.Pairs) -> bytes:
    return b"".join(starmap(_overwrite, headers))


@lru_cache(maxsize=1024)  # names of backends and models, settings: few and always the same; ids just pass through
def _overwrite(name: str, value: str) -> bytes:
    header = _field(_NAME, name.encode()) + _field(_RAW, value.encode("utf-8", "replace"))
    return _field(_SET, _field(_OPTION, header) + _OVERWRITE)


@lru_cache(maxsize=128)  # a client sends the same headers again and again
def _removed(names: tuple[str, ...]) -> bytes:
    return b"".join([_field(_REMOVE, name.encode()) for name in names])


def _annotations(metadata: Mapping[str, Mapping[str, Any]] | None) -> bytes:
    return _field(_DYNAMIC_METADATA, _packed(metadata)) if metadata else b""


def _packed(values: Mapping[str, Any]) -> bytes:
    return b"".join(
        [
            _scalar(name, value) if isinstance(value, (str, int)) else _entry(name, value)
            for name, value in values.items()
        ]
    )


def _entry(name: str, value: Any) -> bytes:
    return _field(_FIELDS, _field(_FIELD_NAME, name.encode()) + _field(_FIELD_VALUE, _packed_value(value)))


_scalar = lru_cache(maxsize=1024, typed=True)(_entry)  # typed, because 1 equals True
"""The same, remembered: mostly names of groups, models and backends."""


def _packed_value(value: Any) -> bytes:
    if isinstance(value, str):
        return _field(_TEXT, value.encode())
    if value is None:
        return _NULL
    if isinstance(value, bool):
        return _BOOL + (b"\x01" if value else b"\x00")
    if isinstance(value, (int, float)):
        return _NUMBER + struct.pack("<d", value)
    if isinstance(value, Mapping):
        return _field(_STRUCT, _packed(value))
    if isinstance(value, Iterable):
        return _field(_LIST, b"".join([_field(_VALUES, _packed_value(each)) for each in value]))
    raise TypeError("metadata holds JSON values only")
