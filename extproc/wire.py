"""Messages of the external-processing protocol, to events and from effects. The only module that touches ``_pb``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from extproc import events
from extproc._pb import ext_proc_pb2 as pb
from extproc.errors import ProtocolError

SERVICE = "envoy.service.ext_proc.v3.ExternalProcessor"
METHOD = "Process"

_OVERWRITE = pb.HeaderValueOption.AppendAction.OVERWRITE_IF_EXISTS_OR_ADD


def decode(data: bytes) -> events.Event:
    """The event of one ProcessingRequest.

    Raises:
        ProtocolError: no such message, or one of a phase we never ask for.
    """
    try:
        message = pb.ProcessingRequest.FromString(data)
    except Exception:  # protobuf raises its own, unrelated types in its several implementations
        raise ProtocolError("not a ProcessingRequest") from None
    kind = message.WhichOneof("request")
    if kind == "request_body":
        return events.RequestBody(message.request_body.body, message.request_body.end_of_stream)
    if kind == "response_body":
        return events.ResponseBody(message.response_body.body, message.response_body.end_of_stream)
    if kind == "request_headers":
        return events.RequestHeaders(*_headers(message.request_headers), _attributes(message), _metadata(message))
    if kind == "response_headers":
        return events.ResponseHeaders(*_headers(message.response_headers), _attributes(message), _metadata(message))
    if kind == "request_trailers":
        return events.RequestTrailers(tuple(each.key for each in message.request_trailers.trailers.headers))
    if kind == "response_trailers":
        return events.ResponseTrailers(tuple(each.key for each in message.response_trailers.trailers.headers))
    raise ProtocolError("an empty ProcessingRequest")


def _headers(message: pb.HttpHeaders) -> tuple[dict[str, str], bool]:
    found: dict[str, str] = {}
    for header in message.headers.headers:
        value = header.raw_value.decode("utf-8", "replace") if header.raw_value else header.value
        name = header.key.lower()
        found[name] = f"{found[name]},{value}" if name in found else value
    return found, message.end_of_stream


def _attributes(message: pb.ProcessingRequest) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for struct in message.attributes.values():
        found.update(MessageToDict(struct))
    return found


def _metadata(message: pb.ProcessingRequest) -> dict[str, dict[str, Any]]:
    return {name: MessageToDict(struct) for name, struct in message.metadata_context.filter_metadata.items()}


def encode(effect: events.Effect) -> bytes:
    """The ProcessingResponse of one effect (``Close`` has none)."""
    response = pb.ProcessingResponse()
    match effect:
        case events.ContinueRequest(mutation):
            _mutate(response, response.request_headers.response, mutation)
            response.request_headers.SetInParent()
        case events.ContinueBody(body, mutation):
            common = response.request_body.response
            _mutate(response, common, mutation)
            if body is not None:
                common.body_mutation.body = body
            response.request_body.SetInParent()
        case events.ContinueResponse(mutation):
            _mutate(response, response.response_headers.response, mutation)
            response.response_headers.SetInParent()
        case events.Send(body, end, metadata):
            streamed = response.response_body.response.body_mutation.streamed_response
            streamed.SetInParent()
            streamed.body = body
            streamed.end_of_stream = end
            _annotate(response, metadata)
        case events.DropTrailers(request, names):
            answer = response.request_trailers if request else response.response_trailers
            answer.header_mutation.remove_headers.extend(names)
            answer.SetInParent()
        case events.Respond(status, headers, body, details, metadata):
            immediate = response.immediate_response
            immediate.status.code = status
            _set(immediate.headers, headers)
            immediate.body = body
            immediate.details = details
            _annotate(response, metadata)
        case events.Close():
            raise ValueError("a close is not a message")
    return response.SerializeToString()


def _mutate(response: pb.ProcessingResponse, common: pb.CommonResponse, mutation: events.Mutation) -> None:
    if mutation.set:
        _set(common.header_mutation, mutation.set)
    if mutation.remove:
        common.header_mutation.remove_headers.extend(mutation.remove)
    common.clear_route_cache = mutation.reroute
    _annotate(response, mutation.metadata)


def _set(mutation: pb.HeaderMutation, headers: events.Pairs) -> None:
    for name, value in headers:
        option = mutation.set_headers.add()
        option.append_action = _OVERWRITE
        option.header.key = name
        option.header.raw_value = value.encode("utf-8", "replace")


def _annotate(response: pb.ProcessingResponse, metadata: Mapping[str, Mapping[str, Any]] | None) -> None:
    if metadata:
        for name, values in metadata.items():
            struct = Struct()
            struct.update(dict(values))
            response.dynamic_metadata.fields[name].struct_value.CopyFrom(struct)
