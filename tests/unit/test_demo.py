"""What the demonstration prints to be copied can be copied."""

import shutil
import textwrap

import pytest

from extproc.demo import command, show


@pytest.mark.parametrize("plain", [8080, None])
def test_the_lines_in_python_are_python(plain):
    text = show.lines(8443, plain, "/ca.pem")
    code = text[text.index("\nfrom openai") + 1 :]
    assert code == textwrap.dedent(code)
    assert code.endswith("\n\n")  # Python's prompt takes an empty line for the end of a loop
    compile(code, "copied", "exec")
    assert ("http://127.0.0.1:8080/v1" if plain else "https://localhost:8443/v1") in code


def test_how_it_is_called_again(tmp_path, monkeypatch):
    program = tmp_path / "bin" / "extproc"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert command.called(".venv/bin/extproc") == ".venv/bin/extproc"
    assert command.called("/a b/llm-extproc") == "'/a b/llm-extproc'"
    assert command.called("/lib/extproc/__main__.py") == "extproc"
    monkeypatch.setattr(shutil, "which", lambda name: str(program))
    assert command.called(str(program)) == "extproc"
    assert command.called(".venv/bin/extproc") == ".venv/bin/extproc"
    assert "\n  .venv/bin/extproc demo restore " in command.scenes(".venv/bin/extproc")
