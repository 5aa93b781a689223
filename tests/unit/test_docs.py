"""The pages are about this program: their commands parse, their configurations load, their links lead somewhere."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from extproc.cli import _parser
from extproc.config.load import load
from extproc.config.model import Config
from extproc.envoy.certificates import ensure
from extproc.providers.known import KNOWN
from tests.support import ROOT

PAGES = [*sorted(ROOT.glob("docs/**/*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "envoy" / "README.md"]
KEYS = dict.fromkeys(
    ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "SECRET", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "MODERATION_KEY"),
    "k",
)
PROVIDER = {"house": {"type": "openai-compatible", "base_url": "http://h/v1", "keys": "none"}}
"""For pages about something else: without a provider a file is a guard's."""


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def text_of(page: Path) -> str:
    return page.read_text("utf-8")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(page), re.DOTALL | re.MULTILINE)


def indented(page: Path) -> str:
    """What stands four blanks in, outside of fences: commands and samples, too."""
    text = re.sub(r"^```.*?^```", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
    return "\n".join(line[4:] for line in text.splitlines() if line.startswith("    "))


# links


def links(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
    return [each for each in re.findall(r"\]\(([^)\s]+)\)", text) if not each.startswith(("http:", "https:"))]


def anchors(page: Path) -> set[str]:
    """As forges make them from headings."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name_of(page)}: {link}"
        assert not anchor or anchor in anchors(target), f"{name_of(page)}: {link}"


def test_the_index_has_every_page():
    index = ROOT / "docs" / "README.md"
    there = {str(page.relative_to(index.parent)) for page in ROOT.glob("docs/*.md")} - {"README.md"}
    assert there <= set(links(index))


# commands


def commands(page: Path) -> list[list[str]]:
    """The arguments of every ``extproc`` that a reader can copy."""
    text = "\n".join([*blocks(page, "sh"), indented(page)]).replace("\\\n", " ")
    starts = r"^(?:\.venv/bin/|eval \"\$\(|docker compose run .*)?extproc(?= |$)(.*)$"
    found = []
    for rest in re.findall(starts, text, re.MULTILINE):
        arguments = shlex.split(rest.replace(')"', ""), comments=True)
        end = next((at for at, each in enumerate(arguments) if each in ("|", ">", "&", "&&", ";")), None)
        found.append(arguments[:end])
    return found


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=name_of)
def test_commands_parse(page, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ensure(tmp_path)  # makes ca.pem: files of authorities are read with the arguments
    for arguments in commands(page):
        try:
            _parser().parse_args(arguments)
        except SystemExit:
            pytest.fail(f"{name_of(page)}: extproc {shlex.join(arguments)}\n{capsys.readouterr().err}")


def test_commands_are_found():
    """The looking itself: in fences and out of them, after another command, cut at a pipe, over two lines."""
    found = {name_of(page): commands(page) for page in PAGES}
    assert ["run", "--", "python", "app.py"] in found["docs/sdks.md"]
    assert ["env"] in found["docs/sdks.md"]
    assert ["attest", "https://gateway.example:8443"] in found["docs/attest.md"]
    assert ["render", "envoy", "--remove-from", "envoy.yaml", "--in-place"] in found["docs/attach-envoy.md"]
    (guard, *_) = (each for each in found["docs/attach-istio.md"] if "--guard-only" in each)
    assert guard[-2:] == ["--route", "chat"]


# options that are only mentioned


def options(command: str) -> set[str]:
    """All options of a command and of what is below it."""
    parser = _parser()
    found: set[str] = set()
    for word in command.split()[1:3]:
        below = {} if parser._subparsers is None else parser._subparsers._group_actions[0].choices
        if word not in below:
            break
        parser = below[word]
    waiting = [parser]
    while waiting:
        each = waiting.pop()
        found |= set(each._option_string_actions)
        if each._subparsers is not None:
            waiting += each._subparsers._group_actions[0].choices.values()
    return found


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_mentioned_commands_exist(page):
    known = set(_parser()._subparsers._group_actions[0].choices)
    for mention in re.findall(r"`(extproc [a-z][^`]*)`", text_of(page).replace("\n", " ")):
        command = mention.split(" -- ")[0]
        assert command.split()[1] in known, f"{name_of(page)}: {mention}"
        assert set(re.findall(r"(?<= )--?[a-z][a-z-]*", command)) <= options(command), f"{name_of(page)}: {mention}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_mentioned_options_exist(page):
    mentioned = set(re.findall(r"`(--[a-z][a-z-]*)", text_of(page)))
    assert mentioned <= options("extproc"), name_of(page)


# configurations


def configurations(page: Path) -> list[dict[str, object]]:
    """The YAML that is ours: mappings with a key of the configuration."""
    loaded = [yaml.safe_load(each) for text in blocks(page, "yaml") for each in text.split("\n---\n")]
    return [each for each in loaded if isinstance(each, dict) and set(each) & set(Config.model_fields)]


@pytest.mark.parametrize("page", [page for page in PAGES if configurations(page)], ids=name_of)
def test_configurations_load(page, tmp_path):
    (tmp_path / "referred").write_text("k")
    for number, found in enumerate(configurations(page)):
        complete = found if "guard" in found else {"providers": PROVIDER, **found}
        path = tmp_path / f"{number}.yaml"
        path.write_text(re.sub(r"file:[\w./-]+", "file:referred", yaml.safe_dump(complete)))
        load(path, KEYS)


def test_configurations_are_found():
    assert {"docs/sdks.md", "docs/compose.md", "docs/attach-envoy.md", "docs/operations.md", "README.md"} <= {
        name_of(page) for page in PAGES if configurations(page)
    }


# the example of the environment


def test_every_key_that_is_enough_is_in_the_example():
    named = set(re.findall(r"^([A-Z_]+)=$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert named == {known.variable for known in KNOWN.values() if known.whole}
