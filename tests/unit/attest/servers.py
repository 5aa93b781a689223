"""Small servers that a probe may meet."""

import http.server
import threading
from contextlib import contextmanager


@contextmanager
def serving(reply):
    """A server whose answers are ``reply(handler, body)``: status, headers, body. Yields its address; notes requests."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            server.requests.append((self.command, self.path, dict(self.headers.items()), body))
            status, headers, said = reply(self, body)
            self.send_response(status)
            for name, value in {"content-length": str(len(said)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = _answer  # noqa: N815

        def version_string(self):
            return "some-server"

        def log_message(self, *_):
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def url(server):
    return f"http://127.0.0.1:{server.server_port}"
