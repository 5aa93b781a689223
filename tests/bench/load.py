"""A load generator on bare sockets. Usage: load.py PORT CONNECTIONS SECONDS PROMPT_BYTES [stream]

Prints one line of JSON: exchanges, errors, seconds, p50_ms, p99_ms and, of streams, first_ms (median time to the first event).
"""

import asyncio
import sys
import time

import orjson
import uvloop

SENTENCE = "Please tell me how the weather will be tomorrow in the mountains north of the lake. "


def request(size, streamed):
    text = (SENTENCE * (size // len(SENTENCE) + 1))[:size]
    body = orjson.dumps({"model": "bench", "stream": streamed, "messages": [{"role": "user", "content": text}]})
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        % len(body)
        + body
    )


class Client(asyncio.Protocol):
    """One connection that asks again as soon as it has been answered."""

    def __init__(self, payload, streamed, until, results):
        self.payload, self.streamed, self.until, self.results = payload, streamed, until, results
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.ask()

    def ask(self):
        self.buffer = bytearray()
        self.first = 0.0
        self.began = time.perf_counter()
        self.transport.write(self.payload)

    def data_received(self, data):
        self.buffer += data
        if self.streamed and not self.first and b"data: " in self.buffer:
            self.first = time.perf_counter()
        if not self.complete():
            return
        now = time.perf_counter()
        self.results.append((now - self.began, self.first - self.began, self.buffer.startswith(b"HTTP/1.1 200")))
        if now < self.until:
            self.ask()
        else:
            self.transport.close()

    def complete(self):
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        if self.buffer.find(b"chunked", 0, end) > 0:
            return self.buffer.endswith(b"0\r\n\r\n")
        at = self.buffer.find(b"content-length: ", 0, end)
        stop = self.buffer.find(b"\r\n", at)
        return len(self.buffer) >= end + 4 + int(self.buffer[at + 16 : stop])

    def connection_lost(self, _):
        if not self.done.done():
            self.done.set_result(None)


async def main(port, connections, seconds, size, streamed):
    loop = asyncio.get_running_loop()
    payload, results = request(size, streamed), []
    began = time.perf_counter()
    clients = []
    for _ in range(connections):
        _, client = await loop.create_connection(
            lambda: Client(payload, streamed, began + seconds, results), "127.0.0.1", port
        )
        clients.append(client.done)
    await asyncio.wait_for(asyncio.gather(*clients), seconds + 30)
    taken = time.perf_counter() - began
    good = sorted(each[0] for each in results if each[2])
    firsts = sorted(each[1] for each in results if each[2] and each[1] > 0)
    print(orjson.dumps({
        "exchanges": len(good), "errors": len(results) - len(good), "seconds": taken,
        "p50_ms": good[len(good) // 2] * 1000 if good else None,
        "p99_ms": good[len(good) * 99 // 100] * 1000 if good else None,
        "first_ms": firsts[len(firsts) // 2] * 1000 if firsts else None,
    }).decode())  # fmt: skip


if __name__ == "__main__":
    uvloop.run(
        main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), sys.argv[5:] == ["stream"])
    )
