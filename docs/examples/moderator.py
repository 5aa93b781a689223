"""A moderation service of your own, in Python. Generate moderator_pb2.py from protos/moderator.proto first, or use ours.

Start it with ``python moderator.py 127.0.0.1:9090`` and name it in a policy:
``{kind: moderation, service: grpc, url: "grpc://127.0.0.1:9090", categories: {shouting: 0.8}}``.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

from extproc._pb import moderator_pb2 as pb


def find(text: pb.Text) -> pb.Finding:
    """How much of a text is in capitals, and where the word SECRET stands."""
    capitals = sum(letter.isupper() for letter in text.text) / max(len(text.text), 1)
    found = pb.Finding(flagged=capitals > 0.5, scores={"shouting": capitals})
    at = text.text.find("SECRET")
    if at >= 0:
        found.flagged = True
        found.marks.add(start=at, end=at + len("SECRET"), label="secret")
    return found


def judge(request: pb.JudgeRequest, context: grpc.ServicerContext) -> pb.JudgeResponse:
    """One finding for each text, in their order."""
    return pb.JudgeResponse(findings=[find(text) for text in request.texts])


def serve(address: str) -> tuple[grpc.Server, int]:
    """Start; returns the server and its port."""
    handler = grpc.unary_unary_rpc_method_handler(judge, pb.JudgeRequest.FromString, pb.JudgeResponse.SerializeToString)
    server = grpc.server(ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("llm.extproc.moderator.v1.Moderator", {"Judge": handler}),)
    )
    port = server.add_insecure_port(address)
    server.start()
    return server, port


if __name__ == "__main__":
    serve(sys.argv[1])[0].wait_for_termination()
