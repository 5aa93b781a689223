"""Somebody else's external processor: notes what it is shown and changes nothing."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

from extproc._pb import ext_proc_pb2 as pb
from extproc.wire import METHOD, SERVICE

CLUSTER = "onlooker"
_EXT_PROC = "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor"
_HTTP_OPTIONS = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_STREAMS = 64
MODES = ("NONE", "BUFFERED", "STREAMED", "FULL_DUPLEX_STREAMED")
"""Of bodies; headers are always shown."""


def processing(name: str, request: str, response: str) -> dict[str, Any]:
    """The filter: which processor's words ``name`` are, and the modes of both bodies."""
    duplex = [phase for phase, mode in (("request", request), ("response", response)) if mode == "FULL_DUPLEX_STREAMED"]
    mode = {"request_header_mode": "SEND", "response_header_mode": "SEND"}
    mode |= {"request_body_mode": request, "response_body_mode": response}
    mode |= {f"{phase}_trailer_mode": "SEND" for phase in duplex}
    told = [{"key": "onlooker", "value": name}, {"key": "duplex", "value": " ".join(["no", *duplex])}]
    grpc_service = {"envoy_grpc": {"cluster_name": CLUSTER}, "initial_metadata": told}
    config = {"@type": _EXT_PROC, "grpc_service": grpc_service, "processing_mode": mode, "message_timeout": "10s"}
    return {"name": f"onlooker.{name}", "typed_config": config}


def cluster(path: Path) -> dict[str, Any]:
    """Where Envoy finds it."""
    endpoint = {"endpoint": {"address": {"pipe": {"path": str(path)}}}}
    options = {"@type": _HTTP_OPTIONS, "explicit_http_config": {"http2_protocol_options": {}}}
    return {
        "name": CLUSTER, "type": "STATIC", "connect_timeout": "5s",
        "load_assignment": {"cluster_name": CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
    }  # fmt: skip


class Seen:
    """What one filter was shown of one exchange."""

    def __init__(self) -> None:
        self.request = b""
        self.response = b""
        self.pieces = 0


class Onlooker:
    """Serves at ``path``. ``seen[name, request_id]`` is what the filter called so was shown."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: dict[tuple[str, str], Seen] = defaultdict(Seen)
        self._lock = threading.Lock()
        self._server = grpc.server(
            ThreadPoolExecutor(_STREAMS),
            options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
        )
        method = grpc.stream_stream_rpc_method_handler(
            self._process, pb.ProcessingRequest.FromString, pb.ProcessingResponse.SerializeToString
        )
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: method}),))
        self._server.add_insecure_port(f"unix:{path}")
        self._server.start()

    def stop(self) -> None:
        self._server.stop(0).wait(10)

    def _process(
        self, messages: Iterator[pb.ProcessingRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.ProcessingResponse]:
        told = dict(context.invocation_metadata())
        seen = Seen()
        for message in messages:
            kind = message.WhichOneof("request")
            if kind == "request_headers":
                headers = {each.key: each.raw_value.decode() for each in message.request_headers.headers.headers}
                with self._lock:
                    seen = self.seen[told["onlooker"], headers["x-request-id"]]
            yield self._answer(kind, message, seen, told["duplex"].split())

    def _answer(self, kind: str, message: pb.ProcessingRequest, seen: Seen, duplex: list[str]) -> pb.ProcessingResponse:
        answer = pb.ProcessingResponse()
        getattr(answer, kind).SetInParent()
        phase, _, what = kind.partition("_")
        if what == "body":
            body = getattr(message, kind)
            setattr(seen, phase, getattr(seen, phase) + body.body)
            seen.pieces += phase == "response"
            if phase in duplex:
                streamed = getattr(answer, kind).response.body_mutation.streamed_response
                streamed.body, streamed.end_of_stream = body.body, body.end_of_stream
        return answer
