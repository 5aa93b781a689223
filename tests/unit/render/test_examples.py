"""What is in envoy/ for clusters is what the command prints today; and the guides show commands that exist."""

import os
import re
import shlex
from pathlib import Path

import pytest
import yaml

from extproc.cli import main
from tests.objects import check

ROOT = Path(__file__).parents[3]
CONFIG = "envoy/kubernetes/extproc.yaml"
EXAMPLES = {
    "kubernetes/processor.yaml": "kubernetes --guard-only --callers istio-ingress --callers shop --scrapers monitoring",
    "kubernetes/processor-tls.yaml": "kubernetes --guard-only --callers gateways --issuer internal-ca",
    "kubernetes/sidecar.yaml": "kubernetes --guard-only --sidecar --processor-namespace shop --run-as 1337",
    "istio/sidecar-shadow.yaml": "istio --shadow --at outbound --namespace shop --selector app=assistant",
    "istio/sidecar-one-host.yaml": "istio --guard-only --at outbound --namespace shop --selector app=assistant "
    "--host api.openai.com:80",
    "istio/gateway-one-route.yaml": "istio --guard-only --at gateway --namespace istio-ingress --selector "
    "istio=ingressgateway --route chat",
    "istio/waypoint.yaml": "istio --guard-only --at waypoint --namespace shop --gateway waypoint --istio 1.31",
    "envoy-gateway/shadow.yaml": "envoy-gateway --shadow --gateway eg --namespace gateways",
    "envoy-gateway/one-route.yaml": "envoy-gateway --guard-only --gateway eg --namespace gateways --route chat",
}
GUIDES = ["docs/kubernetes.md", "docs/attach-istio.md", "docs/attach-envoy-gateway.md"]


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    monkeypatch.chdir(ROOT)


def printed(capsys, command):
    assert main(["render", *shlex.split(command), "-c", CONFIG]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_what_the_command_prints(capsys, name):
    text = printed(capsys, EXAMPLES[name])
    path = ROOT / "envoy" / name
    if os.environ.get("UPDATE_EXAMPLES"):
        path.write_text(text)
    assert path.read_text() == text, f"{name} is out of date: run this test with UPDATE_EXAMPLES=1"


def test_there_are_no_others():
    folders = (ROOT / "envoy" / each for each in ("kubernetes", "istio", "envoy-gateway"))
    there = {f"{folder.name}/{path.name}" for folder in folders for path in folder.iterdir()}
    assert there == {*EXAMPLES, "kubernetes/extproc.yaml"}


@pytest.mark.parametrize("guide", GUIDES)
def test_commands_in_the_guides_run(capsys, guide):
    text = (ROOT / guide).read_text().replace("\\\n", " ")
    commands = re.findall(r"^(?:\.venv/bin/)?extproc render (.*)$", text, re.MULTILINE)
    assert commands
    for each in commands:
        printed(capsys, re.sub(r"(?:-c \S+|[|>].*$)", "", each))


@pytest.mark.parametrize("guide", GUIDES)
def test_objects_in_the_guides_are_good(guide):
    for block in re.findall(r"```yaml\n(.*?)```", (ROOT / guide).read_text(), re.DOTALL):
        for each in yaml.safe_load_all(block):
            if "kind" in each and "apiVersion" in each:
                check(each, "1.9" if each["kind"] == "EnvoyExtensionPolicy" else "")


def test_options_in_the_guides_exist(capsys):
    for target in ("kubernetes", "istio", "envoy-gateway"):
        with pytest.raises(SystemExit):
            main(["render", target, "--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    told = {each for guide in GUIDES for each in re.findall(r"`(--[a-z-]+)", (ROOT / guide).read_text())}
    assert told <= known
