"""The benchmark: the same load through the same Envoy, bare and with ours, interleaved; ratios and medians.

Usage: python -m tests.bench [--smoke] [--json FILE]
"""

import argparse
import asyncio
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson
import uvloop

from extproc.config.load import load
from extproc.envoy import bootstrap, types
from extproc.envoy.binary import find
from extproc.envoy.layout import Layout
from extproc.envoy.process import Envoy
from extproc.envoy.types import typed
from extproc.gateway import Options
from extproc.runtime import compile_runtime
from extproc.supervisor import running
from extproc.telemetry import Log

CONFIG = """
gateway: {{tls: none, port: 0}}
health: {{port: null}}
providers: {{bench: {{type: openai-compatible, base_url: "http://127.0.0.1:{port}/v1", keys: none}}}}
policies: {policies}
attach: {attach}
log: {{format: json}}
"""
GUARDS = (
    "{pii: {kind: pii}, injection: {kind: wordlist, pack: prompt-injection, action: block, phase: both},"
    " profanity: {kind: wordlist, pack: profanity}, adult: {kind: wordlist, pack: adult}}"
)
VARIANTS = {"no policies": ("{}", "[]"), "all packs": (GUARDS, "[{use: [pii, injection, profanity, adult]}]")}
CASES = {
    "1 connection, 1 KB": ["1", "1024"],
    "32 connections, 1 KB": ["32", "1024"],
    "32 streams of 100 events": ["32", "1024", "stream"],
}


async def start(*command):
    return await asyncio.create_subprocess_exec(sys.executable, "-m", *command, stdout=subprocess.PIPE)


async def load_once(port, seconds, case):
    connections, size, *rest = case
    process = await start("tests.bench.load", str(port), connections, str(seconds), size, *rest)
    out, _ = await process.communicate()
    return orjson.loads(out)


@contextlib.asynccontextmanager
async def bare(upstream, folder):
    """Envoy alone: one listener, one cluster, no filters but the router."""
    folder.mkdir()
    route = {"match": {"prefix": "/"}, "route": {"cluster": "u", "timeout": "60s"}}
    manager = typed(
        types.HTTP_MANAGER,
        stat_prefix="bare",
        route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        http_filters=[{"name": "envoy.filters.http.router", "typed_config": typed(types.ROUTER)}],
    )
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    endpoint = {"endpoint": types.address("127.0.0.1", upstream)}
    cluster = {
        "name": "u",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "u", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    layout = Layout(folder, folder, folder, "", ())
    whole = {
        "admin": types.address("127.0.0.1", 0),
        "static_resources": {
            "listeners": [{"name": "main", **types.address("127.0.0.1", 0), "filter_chains": [chain]}],
            "clusters": [cluster],
        },
    }
    bootstrap.replace(layout.bootstrap, whole)
    envoy = Envoy(find(), layout, threads=1)
    await envoy.start()
    try:
        yield envoy.ports["main"]
    finally:
        await envoy.stop()


async def worker(upstream, folder, policies, attach):
    """One gateway in a process of its own, as `extproc up` is."""
    path = folder / "extproc.yaml"
    path.write_text(CONFIG.format(port=upstream, policies=policies, attach=attach))
    process = await start("tests.bench", "--gateway", str(path))
    return process, int(await process.stdout.readline())


async def gateway(path):
    """The child's side of ``worker``: runs until its parent ends it."""
    runtime = compile_runtime(load(Path(path), {}))
    log = Log("json")
    log.quiet = True
    async with running(runtime, log, Options(Path(path).parent / "state", threads=1)) as (_, ports):
        print(ports.listeners["main"], flush=True)
        await asyncio.Event().wait()


async def first_answer():
    """Seconds from the command to the end of the demonstration's first blocked and streamed answers."""
    began = time.perf_counter()
    process = await start("extproc", "demo", "--once")
    await process.stdout.readuntil(b"client\n")
    ready = time.perf_counter() - began
    await process.communicate()
    return ready


async def main(options):
    rounds, seconds = (1, 1.0) if options.smoke else (5, 3.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        provider = await start("tests.bench.upstream", "0")
        upstream = int(await provider.stdout.readline())
        children = [provider]
        try:
            async with bare(upstream, folder / "bare") as port:
                ports = {"bare Envoy": port}
                for variant, (policies, attach) in VARIANTS.items():
                    place = folder / variant.replace(" ", "-")
                    place.mkdir()
                    process, ports[variant] = await worker(upstream, place, policies, attach)
                    children.append(process)
                for each in ports.values():  # warm up
                    await load_once(each, 0.5, ["4", "1024"])
                found = await measure(ports, rounds, seconds)
        finally:
            for process in children:
                process.terminate()
                await process.wait()
    found["start to ready (s)"] = statistics.median([await first_answer() for _ in range(1 if options.smoke else 3)])
    report(found)
    if options.json:
        Path(options.json).write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))


async def measure(ports, rounds, seconds):
    found = {}
    for case, arguments in CASES.items():
        runs = {variant: [] for variant in ports}
        for _ in range(rounds):
            for variant, port in ports.items():
                runs[variant].append(await load_once(port, seconds, arguments))
        found[case] = {variant: summary(each) for variant, each in runs.items()}
    return found


def summary(runs):
    def median(value):
        values = [value(run) for run in runs if value(run) is not None]
        return statistics.median(values) if values else None

    return {
        "per_second": median(lambda run: run["exchanges"] / run["seconds"]),
        "p50_ms": median(lambda run: run["p50_ms"]),
        "p99_ms": median(lambda run: run["p99_ms"]),
        "first_ms": median(lambda run: run["first_ms"]),
        "errors": sum(run["errors"] for run in runs),
    }


def report(found):
    print("| case | variant | per second | of bare | p50 ms | added p50 | p99 ms | first event ms | errors |")
    print("|---|---|---|---|---|---|---|---|---|")
    for case, variants in found.items():
        if not isinstance(variants, dict):
            continue
        base = variants["bare Envoy"]
        for variant, row in variants.items():
            ratio = row["per_second"] / base["per_second"]
            first = f"{row['first_ms']:.2f}" if row["first_ms"] else ""
            print(
                f"| {case} | {variant} | {row['per_second']:.0f} | {ratio:.0%} | {row['p50_ms']:.2f} |"
                f" {row['p50_ms'] - base['p50_ms']:+.2f} | {row['p99_ms']:.2f} | {first} | {row['errors']} |"
            )
    print(f"\nfrom the command to ready: {found['start to ready (s)']:.2f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="tests.bench")
    parser.add_argument("--smoke", action="store_true", help="short runs: does it work, not how fast is it")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    parser.add_argument("--gateway", help=argparse.SUPPRESS)
    given = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(gateway(given.gateway) if given.gateway else main(given))
