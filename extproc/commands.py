"""What the commands do. Each takes the parsed options and returns an exit status."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import yaml

from extproc import clients
from extproc.clients import Reach
from extproc.config.load import Loaded, load
from extproc.config.model import Config
from extproc.demo.command import demo as demo_
from extproc.envoy import binary, bootstrap, process, static, versions
from extproc.errors import ConfigError, Problem, StartupError
from extproc.framing.jsontext import dump_pretty
from extproc.gateway import Options, layout_for, only_elsewhere, system_ca, upstream_ca
from extproc.live import look, require_ports
from extproc.loop import run
from extproc.policy import packs
from extproc.processor import serving
from extproc.providers.known import KNOWN
from extproc.record import Gateway, find, recorded, tell
from extproc.render.command import render as render_
from extproc.runtime import Runtime, compile_runtime, effective
from extproc.signals import ORDERS, Signals, until_stopped
from extproc.supervisor import Ports, running
from extproc.telemetry import Log
from extproc.wrapped import NOT_FOUND, Wrapped, elsewhere, missing, open_log


def up(options: argparse.Namespace) -> int:
    """Envoy and the workers, until a signal."""
    loaded, runtime = _runtime(options, _listen_overrides(options))
    log = Log(loaded.config.log.format)
    return run(_up(runtime, log, _options(options), lambda: _load(options, _listen_overrides(options))))


async def _up(runtime: Runtime, log: Log, options: Options, read: Callable[[], Loaded]) -> int:
    signals = Signals()
    async with running(runtime, log, options, read) as (supervisor, ports):
        scheme = "http" if runtime.config.gateway.tls == "none" else "https"
        details: dict[str, str | int] = {"url": f"{scheme}://{_public(runtime)}:{ports.listeners['main']}/v1"}
        if "plain" in ports.listeners:
            details["plain"] = f"http://127.0.0.1:{ports.listeners['plain']}/v1"
        if ports.ca:
            details["ca"] = str(ports.ca)
        if ports.health is not None:
            details["health"] = f"http://{runtime.config.health.address}:{ports.health}/health/readiness"
        files = runtime.loaded.source.files
        with recorded(options.state, _reach(runtime, ports, options.state), str(files[0]) if files else ""):
            log.notice("ready", "the gateway is ready", policies=runtime.armed or "none", **details)
            await until_stopped(signals, supervisor, log)
    return 0


def _reach(runtime: Runtime, ports: Ports, folder: Path) -> Reach:
    """How clients reach a gateway; where that takes TLS with our own authority, a bundle is written into ``folder``."""
    url = clients.root(runtime, ports.listeners)
    bundle = ""
    if ports.ca and url.startswith("https:"):
        bundle = clients.write_bundle(folder / "bundle.pem", system_ca(), ports.ca)
    return Reach(url, bundle, bool(runtime.config.gateway.aws_keys))


def reload(options: argparse.Namespace) -> int:
    """Tell the running gateway to read its configuration again, or with ``--workers`` to replace its workers."""
    gateway = _running(options)
    tell(gateway, signal.SIGUSR1 if options.workers else signal.SIGHUP)
    print(f"told process {gateway.pid}; its log says what came of it")
    return 0


def env(options: argparse.Namespace) -> int:
    """What SDKs need in their environment to use the running gateway, as lines for a shell or as JSON (null: to unset)."""
    found = clients.variables(_running(options).reach, os.environ)
    if options.json:
        print(dump_pretty(found))
    else:
        for name, value in found.items():
            print(f"unset {name}" if value is None else f"export {name}={shlex.quote(value)}")
    return 0


def run_command(options: argparse.Namespace) -> int:
    """A gateway for as long as a command runs; its exit status."""
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        print("error: say what to run: extproc run -- CMD ARGS", file=sys.stderr)
        return 2
    if status := missing(command[0], os.environ.get("PATH")):
        why = "is not there" if status == NOT_FOUND else "cannot be executed"
        print(f"error: {command[0]} {why}", file=sys.stderr)
        return status
    given = _load(options, _NOT_OURS)
    overrides = _NOT_OURS | _free_ports(given.config)
    runtime = compile_runtime(_load(options, overrides), packs=_folder(options))
    require_ports(runtime)  # before the command's own words may be mixed with Envoy's
    hidden = frozenset() if options.keep_keys else clients.provider_keys(given)
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    with open_log(options.log) as file, elsewhere(file.fileno()) as outputs:
        log = Log(runtime.config.log.format)
        log.quiet = not options.log
        read = partial(_load, options, overrides)
        try:
            return run(_run(runtime, log, _options(options), read, partial(Wrapped, command, outputs), environment))
        except StartupError:
            if not options.log:
                file.seek(0)
                os.write(outputs.err, file.read())
            raise


_NOT_OURS = {"PORT": ""}
"""The platform's variable means the command's port, not the gateway's."""


def _free_ports(config: Config) -> dict[str, str]:
    """Free ports instead of the usual ones, where the configuration names none; nothing named: no TLS on loopback either."""
    named = config.gateway.model_fields_set
    found = {} if "port" in config.health.model_fields_set else {"EXTPROC_HEALTH__PORT": "0"}
    if not named & {"address", "port", "tls", "plain_port"}:
        found["EXTPROC_GATEWAY__TLS"] = "none"
    for field in {"port", "plain_port"} - named:
        found[f"EXTPROC_GATEWAY__{field.upper()}"] = "0"
    return found


async def _run(
    runtime: Runtime, log: Log, options: Options, read: Callable[[], Loaded], wrap: Callable[[], Wrapped],
    environment: dict[str, str],
) -> int:  # fmt: skip
    wrapped = wrap()
    with tempfile.TemporaryDirectory(prefix="extproc-") as name:
        async with running(runtime, log, options, read) as (_, ports):
            reach = _reach(runtime, ports, Path(name))
            log.notice("ready", "the gateway is ready", url=reach.url)
            return await wrapped.run(clients.environment_of(reach, environment))


def serve(options: argparse.Namespace) -> int:
    """The processor alone, until a signal."""
    loaded, runtime = _runtime(options)
    log = Log(loaded.config.log.format)
    return run(_serve(runtime, log, options))


async def _serve(runtime: Runtime, log: Log, options: argparse.Namespace) -> int:
    signals = Signals()
    layout, _ = layout_for(runtime, _run_folder(options), _state(options))
    if options.write_envoy:
        only_elsewhere(runtime)
        bootstrap.write(runtime, layout)
    async with serving(runtime, log, layout, lambda: _load(options, {})) as (processor, health):
        details = (
            {} if health is None else {"health": f"http://{runtime.config.health.address}:{health}/health/readiness"}
        )
        address = ", ".join(layout.processors)
        log.notice("ready", "the processor is ready", address=address, policies=runtime.armed or "none", **details)
        while (name := await signals.next()) in ORDERS:
            await (processor.reload() if name == "SIGHUP" else processor.restart_workers())
        log.notice("stopping", "stopping", signal=name)
    return 0


def demo(options: argparse.Namespace) -> int:
    """See ``extproc.demo``."""
    return demo_(options, _options(options))


_UP_TO_CLIENTS = (
    "clients choose model and operation, so whoever asks for these goes without {}; to limit it to some clients, add "
    "`jwt`, `principal` or `route`"
)


_UNREAD = "opaque: nobody looks into what goes there and comes back; policies about texts do not apply"


def check(options: argparse.Namespace) -> int:
    """Say that the configuration is good, and what it comes to."""
    loaded, runtime = _runtime(options)
    source = ", ".join(str(path) for path in loaded.source.files) or "the environment (no file)"
    print(f"configuration: {source}: ok")
    for policy in runtime.attached.usual.policies:
        phases = "+".join(sorted(phase.value for phase in policy.phases))
        print(f"policy {policy.name}: {policy.action.value}, {policy.mode.value}, {phases}, {len(policy.rules)} rules")
    for group in (each for each in runtime.groups if each.public):
        print(f"model {group.name}: {', '.join(backend.name for backend in group.backends)}")
    for named in runtime.named.all:
        print(f"operation {named.name}: {', '.join(named.config.path)}, {named.config.scan}")
    for named in runtime.named.opaque:
        print(f"warning: {loaded.problem(('operations', named.name), _UNREAD)}")
    for index, each in enumerate(loaded.config.attach or ()):
        if each.up_to_clients:
            print(f"warning: {loaded.problem(('attach', index), _UP_TO_CLIENTS.format(', '.join(each.without or ())))}")
    print(f"packs found: {', '.join(packs.available(_folder(options)))}")
    _check_with_envoy(runtime, options)
    return _check_live(runtime) if options.live else 0


def _check_live(runtime: Runtime) -> int:
    findings = list(look(runtime, upstream_ca(runtime)))
    for finding in findings:
        print(f"{'ok   ' if finding.ok else 'FAIL '} {finding.text}")
    return 0 if all(finding.ok for finding in findings) else 1


def _check_with_envoy(runtime: Runtime, options: argparse.Namespace) -> None:
    """Let Envoy check what it would be given, where there is one."""
    if runtime.guards_only:
        print("nothing to check with Envoy: others route (`extproc render` adds the guard to theirs)")
        return
    try:
        envoy = binary.find(options.envoy)
    except StartupError as error:
        if options.envoy:
            raise
        print(f"not checked by Envoy: {error}")
        return
    version = versions.of(envoy)
    for each in versions.cautions(version, versions.uses(runtime)):
        print(f"warning: {each}")
    with tempfile.TemporaryDirectory(prefix="extproc-") as name:
        folder = Path(name)
        layout, _ = layout_for(runtime, folder, folder, version)
        layout.bootstrap.write_text(static.text(runtime, layout), "utf-8")
        process.validate(envoy, layout.bootstrap)
    print("checked by Envoy: ok")


def show_config(options: argparse.Namespace) -> int:
    """The effective configuration as YAML, or the schema as JSON."""
    if options.schema:
        print(schema())
        return 0
    loaded, _ = _runtime(options)
    print(yaml.safe_dump(effective(loaded), sort_keys=False, allow_unicode=True), end="")
    return 0


def schema() -> str:
    """The JSON Schema of the configuration file, as published in ``extproc/config/extproc.schema.json``."""
    return dump_pretty({"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()})


def render(options: argparse.Namespace) -> int:
    """Configuration for others (see ``extproc.render``)."""
    return render_(options, lambda: _runtime(options)[1], _run_folder(options), _state(options))


# what the commands share


def _runtime(options: argparse.Namespace, overrides: dict[str, str] | None = None) -> tuple[Loaded, Runtime]:
    loaded = _load(options, overrides or {})
    return loaded, compile_runtime(loaded, packs=_folder(options))


def _load(options: argparse.Namespace, overrides: dict[str, str]) -> Loaded:
    named = _named(options)
    loaded = load(named, {**os.environ, **overrides})
    if named is None and not loaded.config.providers:
        raise ConfigError([Problem(_NO_PROVIDERS)])
    return loaded


def _named(options: argparse.Namespace) -> Path | None:
    """The configuration file; None for none."""
    named = (
        options.config
        or os.environ.get("EXTPROC_CONFIG")
        or ("extproc.yaml" if Path("extproc.yaml").is_file() else None)
    )
    return Path(named) if named else None


def _running(options: argparse.Namespace) -> Gateway:
    """The running gateway that is meant: named, or the only one, or the one with the configuration file of this place."""
    config = str(Path(options.config).resolve()) if options.config else ""
    named = _named(options)
    return find(_state(options), config=config, pid=options.pid, usual=str(named.resolve()) if named else "")


_NO_PROVIDERS: Final = (
    "no providers: set one of "
    + ", ".join(known.variable for known in KNOWN.values() if known.whole)
    + ", write a configuration file, or try `extproc demo`"
)


def _listen_overrides(options: argparse.Namespace) -> dict[str, str]:
    found = {}
    if options.host:
        found["EXTPROC_GATEWAY__ADDRESS"] = options.host
    if options.port is not None:
        found["EXTPROC_GATEWAY__PORT"] = str(options.port)
    return found


def _folder(options: argparse.Namespace) -> Path | None:
    return Path(options.policies) if options.policies else None


def _run_folder(options: argparse.Namespace) -> Path:
    return Path(options.folder).resolve()


def _state(options: argparse.Namespace) -> Path:
    named = options.state or os.environ.get("EXTPROC_STATE")
    if named:
        return Path(named).resolve()
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "llm-extproc"


def _options(options: argparse.Namespace) -> Options:
    return Options(_state(options), options.envoy)


def _public(runtime: Runtime) -> str:
    address = runtime.config.gateway.address
    return "localhost" if address in ("127.0.0.1", "0.0.0.0", "::", "::1") else address  # noqa: S104
