"""A fake provider that is not the bottleneck: fixed bytes on a bare asyncio protocol. Usage: upstream.py PORT"""

import asyncio
import sys

import orjson
import uvloop

TEXT = "The quick brown fox jumps over the lazy dog, and then it rests for a while in the shade. "
HEAD = {"id": "chatcmpl-bench", "created": 1700000000, "model": "bench"}
USAGE = {"prompt_tokens": 250, "completion_tokens": 100, "total_tokens": 350}


def whole():
    choice = {"index": 0, "message": {"role": "assistant", "content": TEXT * 5}, "finish_reason": "stop"}
    body = orjson.dumps({**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE})
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body


def stream(events=100):
    words = (TEXT * 10).split(" ")
    out = [b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"]
    head = {**HEAD, "object": "chat.completion.chunk"}
    for number in range(events):
        choice = {"index": 0, "delta": {"content": f"{words[number % len(words)]} "}, "finish_reason": None}
        out.append(chunk(orjson.dumps({**head, "choices": [choice]})))
    choice = {"index": 0, "delta": {}, "finish_reason": "stop"}
    out.append(chunk(orjson.dumps({**head, "choices": [choice]})))
    out += [chunk(b"[DONE]"), b"0\r\n\r\n"]
    return b"".join(out)


def chunk(data):
    event = b"data: " + data + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(event), event)


WHOLE, STREAM = whole(), stream()


class Provider(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.buffer = b""

    def data_received(self, data):
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            at = head.find(b"content-length:")
            length = (
                int(head[at + 15 : head.find(b"\r\n", at) if head.find(b"\r\n", at) > 0 else None]) if at >= 0 else 0
            )
            if len(self.buffer) < end + 4 + length:
                return
            body = self.buffer[end + 4 : end + 4 + length]
            self.buffer = self.buffer[end + 4 + length :]
            self.transport.write(STREAM if b'"stream":true' in body else WHOLE)


async def main(port):
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", port, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
