"""A processor that misbehaves at one message of one filter, and an Envoy (configured by us) that believes in it.

Which request is treated how is written in its request id: ``FILTER.INDEX.ACTION.anything``.
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import grpc
import yaml
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from extproc._pb import ext_proc_pb2 as pb
from extproc.config.load import load
from extproc.envoy import binary, bootstrap
from extproc.envoy.layout import Layout
from extproc.envoy.process import Envoy
from extproc.runtime import compile_runtime
from extproc.service import FILTER, Service, StreamFailed
from extproc.telemetry import Log
from extproc.wire import METHOD, SERVICE

HANG = 3.0


class Nowhere:
    """A log's output that keeps nothing."""

    def write(self, _: str) -> None:
        return

    def flush(self) -> None:
        return

    def isatty(self) -> bool:
        return False


class Hostile:
    """Envoy and the processor, in a thread of their own."""

    def __init__(self, config: dict[str, Any], folder: Path, environment: dict[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "extproc.yaml"
        path.write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
        self.runtime = compile_runtime(load(path, environment))
        self._service = Service(lambda: self.runtime, Log("json", Nowhere()))  # type: ignore[arg-type]
        self.socket = folder / "p.sock"
        unused = folder / "unused.pem"
        self._layout = Layout(folder, unused, unused, str(unused), (str(self.socket),))
        self._access = folder / "access.txt"
        self.seen: dict[str, list[str]] = {}
        self.ports: dict[str, int] = {}
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(30)
        if self._failure:
            raise self._failure

    @property
    def port(self) -> int:
        return self.ports["main"]

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    def kill_processor(self) -> None:
        """Close the processor's socket and every stream on it, as a killed process would."""
        asyncio.run_coroutine_threadsafe(self._server.stop(None), self._loop).result(10)

    def revive_processor(self) -> None:
        asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._main())
        except BaseException as failure:
            self._failure = failure
            self._ready.set()
        self._loop.close()

    async def _serve(self) -> None:
        self._server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)])
        handler = grpc.stream_stream_rpc_method_handler(self._process)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
        self.socket.unlink(missing_ok=True)
        servicer = health.aio.HealthServicer()  # in good health, whatever it does
        health_pb2_grpc.add_HealthServicer_to_server(servicer, self._server)
        await servicer.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
        self._server.add_insecure_port(f"unix:{self.socket}")
        await self._server.start()

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        bootstrap.write(self.runtime, self._layout)
        await self._serve()
        with self._access.open("wb") as access:
            envoy = Envoy(binary.find(), self._layout, access)
            try:
                await envoy.start()
                self.ports = envoy.ports
                self._ready.set()
                await self._stop.wait()
            finally:
                await envoy.stop()
                await self._server.stop(None)

    async def _process(self, _: Any, context: Any) -> None:
        which = dict(context.invocation_metadata())[FILTER]
        session = self._service.open(which)
        index, plan = 0, ("", -1, "")
        while (data := await context.read()) is not grpc.aio.EOF:
            message = pb.ProcessingRequest.FromString(data)
            if index == 0:
                request_id = _request_id(message)
                plan = _plan(request_id)
                self.seen.setdefault(f"{which} {request_id}", [])
            self.seen[f"{which} {request_id}"].append(str(message.WhichOneof("request")))
            if plan[:2] == (which, index):
                await self._misbehave(plan[2], message, context)
                return
            try:
                turn = session.message(data)
            except StreamFailed as failure:
                await context.abort(grpc.StatusCode.INTERNAL, str(failure))
            for each in turn.messages:
                await context.write(each)
            if turn.close:
                return
            index += 1

    async def _misbehave(self, action: str, message: pb.ProcessingRequest, context: Any) -> None:
        if action == "abort":
            await context.abort(grpc.StatusCode.INTERNAL, "hostile")
        if action == "hang":
            await asyncio.sleep(HANG)
        if action == "continue":
            await context.write(empty(message))
        # and a clean end


def empty(message: pb.ProcessingRequest) -> bytes:
    """The answer that changes nothing."""
    response = pb.ProcessingResponse()
    getattr(response, str(message.WhichOneof("request"))).SetInParent()
    return response.SerializeToString()


def _request_id(message: pb.ProcessingRequest) -> str:
    headers = message.request_headers.headers.headers
    return next((each.raw_value.decode() for each in headers if each.key == "x-request-id"), "")


def _plan(request_id: str) -> tuple[str, int, str]:
    parts = request_id.split(".")
    return (parts[0], int(parts[1]), parts[2]) if len(parts) == 4 else ("", -1, "")
