"""``extproc attest``: one look, or one every so often, with a line at each change and a gauge to alarm on."""

from __future__ import annotations

import argparse
import datetime
import re
import signal
import ssl
import sys
import threading
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from extproc.attest.probe import Found, Result, Target, look
from extproc.config.units import parse_duration

STATUS: Final = {Result.ATTACHED: 0, Result.SHADOW: 0, Result.MISSING: 1, Result.UNREACHABLE: 3}
"""Exit statuses; 2 is wrong usage."""

EPILOG: Final = """\
A marked request (header x-llm-attest, body {}) is sent to URL. Our filter answers it itself, with a proof; nothing is
passed on. Whatever else answers means that this traffic is not inspected. Exit status: 0 attached, 1 not attached, 2 wrong
usage, 3 unreachable. A filter in the shadow may not answer: with --processor its processor is asked whether it has seen the
request, which then did reach whatever is behind Envoy; it is one that every provider refuses without cost.
With --every it goes on until a signal, prints a line at each change, and ends with the status of the last look.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog = EPILOG
    parser.add_argument(
        "url", metavar="URL", type=_url, help="where clients send requests: https://HOST[:PORT][/PREFIX]"
    )
    parser.add_argument("--every", metavar="30s", type=_duration, help="look again and again, this long apart")
    parser.add_argument("--metrics", metavar="PORT", type=_port, help="with --every: serve Prometheus metrics here")
    parser.add_argument(
        "--processor", metavar="ADDRESS", action="append", default=[], type=_processor,
        help="HOST:PORT of a processor's health port, to find a filter in the shadow; all addresses of a name are asked",
    )  # fmt: skip
    parser.add_argument(
        "--header", metavar="NAME:VALUE", action="append", default=[], type=_header, help="to be sent along"
    )
    parser.add_argument("--ca", metavar="FILE", type=_authorities, help="authorities to trust, instead of the system's")
    parser.add_argument("--path", default="/v1/chat/completions", type=_path, help="of the request (%(default)s)")
    parser.add_argument("--timeout", metavar="10s", type=_duration, default=10.0, help="for each step (10s)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def attest(options: argparse.Namespace) -> int:
    """See ``EPILOG``."""
    target = Target(
        options.url, options.path, dict(options.header), options.ca, tuple(options.processor), options.timeout
    )
    say = _as_json if options.json else _as_text
    gauges = Gauges(target.url)
    if options.metrics is not None and (wrong := _served(gauges, options)):
        print(f"error: {wrong}", file=sys.stderr)
        return 2
    stop = threading.Event()
    if options.every is None:
        stop.set()
    else:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, lambda *_: stop.set())
    return watch(lambda: look(target), lambda found: say(target, found), stop, options.every or 0.0, gauges)


def _served(gauges: Gauges, options: argparse.Namespace) -> str:
    """Why the metrics cannot be served; empty if they are."""
    if options.every is None:
        return "--metrics needs --every"
    try:
        gauges.serve(options.metrics)
    except OSError as error:
        return f"cannot listen on port {options.metrics} (--metrics): {error.strerror}"
    return ""


def watch(
    look_: Callable[[], Found], tell: Callable[[Found], None], stop: threading.Event, every: float, gauges: Gauges
) -> int:
    """Look until ``stop`` is set, telling what is not as it was before; the status of the last look."""
    before = None
    while True:
        found = look_()
        gauges.count(found)
        if before is None or (found.result, found.mode) != (before.result, before.mode):
            tell(found)
        before = found
        if stop.wait(every):
            return STATUS[found.result]


class Gauges:
    """What can be scraped: ``extproc_attached`` (1, or 0 also where nothing answers) and the count of results.

    Args:
        url: the label of the gauge.
    """

    def __init__(self, url: str) -> None:
        self.registry = CollectorRegistry()
        text = "whether the filter is attached to what listens at this URL"
        self._attached = Gauge("extproc_attached", text, ["url"], registry=self.registry).labels(url)
        self._results = Counter("extproc_attest", "looks, by what they came to", ["result"], registry=self.registry)
        for each in Result:
            self._results.labels(each.value)

    def count(self, found: Found) -> None:
        """Take the result of a look."""
        self._attached.set(found.attached)
        self._results.labels(found.result.value).inc()

    def serve(self, port: int) -> None:
        """Listen for scrapers on all addresses, as exporters do, for as long as the process lives.

        Raises:
            OSError: the port is taken.
        """
        start_http_server(port, registry=self.registry)


def _as_text(target: Target, found: Found) -> None:
    print(f"{_now()} {target.url}: {found.text}", flush=True)


def _as_json(target: Target, found: Found) -> None:
    said = {
        "time": _now(), "url": target.url, "attached": found.attached, "result": found.result.value, "mode": found.mode,
        "generation": found.generation, "status": found.status, "text": found.text,
    }  # fmt: skip
    print(orjson.dumps(said).decode(), flush=True)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# what options may be

_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)


def _url(text: str) -> str:
    place = urlsplit(text)
    try:
        good = place.scheme in ("http", "https") and place.hostname and place.port != 0
    except ValueError:
        good = False
    if not good or place.username or place.query or place.fragment:
        raise argparse.ArgumentTypeError("must be http://HOST[:PORT][/PREFIX] or https://...")
    return text.rstrip("/")


def _authorities(text: str) -> str:
    try:
        ssl.create_default_context(cafile=text)
    except OSError as error:  # ssl.SSLError is one, too
        raise argparse.ArgumentTypeError(f"{text} holds no authorities ({type(error).__name__})") from None
    return text


def _processor(text: str) -> str:
    place = urlsplit(text if "//" in text else f"//{text}")
    try:
        good = place.hostname and place.port
    except ValueError:
        good = False
    if not good:
        raise argparse.ArgumentTypeError("must be HOST:PORT")
    return text


def _path(text: str) -> str:
    if not text.startswith("/") or not text.isascii() or not text.isprintable() or " " in text:
        raise argparse.ArgumentTypeError("must begin with /")
    return text


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError("must be a port")
    return int(text)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not _NAME.fullmatch(name.strip()) or not (value.isascii() and value.isprintable()):
        raise argparse.ArgumentTypeError("must be NAME:VALUE")
    return name.strip().lower(), value.strip()


def _duration(text: str) -> float:
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not isinstance(found, float) or found <= 0:
        raise argparse.ArgumentTypeError("must be more than nothing")
    return found
