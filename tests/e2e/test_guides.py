"""The examples of docs/sdks.md, as they stand there, with the real SDKs through a real gateway to a made-up model."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from extproc.demo.model import FakeModel
from tests.support import ROOT

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(240)]
EXAMPLES = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "docs" / "sdks.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
)
URL = "http://127.0.0.1:8080"

CONFIG = """
version: 1
gateway: {{port: 0, plain_port: 0}}
providers:
  fake: {{type: openai-compatible, base_url: "http://127.0.0.1:{port}/v1", keys: none}}
models: {{"*": fake}}
policies:
  pii:       {{kind: pii, action: redact}}
  injection: {{kind: wordlist, pack: prompt-injection, action: block, phase: request}}
"""


@pytest.fixture
def model() -> Iterator[int]:
    """The port of a model that says what it was asked, and an address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    fake = FakeModel(pace=0)
    try:
        yield asyncio.run_coroutine_threadsafe(fake.start(), loop).result(30)
        asyncio.run_coroutine_threadsafe(fake.stop(), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_the_examples(model: int, tmp_path: Path) -> None:
    """All in one program: each in a namespace of its own, the gateway's address in place of the usual one."""
    (tmp_path / "extproc.yaml").write_text(CONFIG.format(port=model), "utf-8")
    for number, example in enumerate(EXAMPLES):
        (tmp_path / f"{number}.py").write_text(example, "utf-8")
    (tmp_path / "all.py").write_text(
        "import os, pathlib\n"
        f"for number in range({len(EXAMPLES)}):\n"
        "    print(f'\\n#{number}', flush=True)\n"
        "    text = pathlib.Path(f'{number}.py').read_text('utf-8')\n"
        f"    exec(compile(text.replace('{URL}', os.environ['ANTHROPIC_BASE_URL']), f'{{number}}.py', 'exec'), {{}})\n",
        "utf-8",
    )
    marks = ("EXTPROC_", "OPENAI_", "ANTHROPIC_", "GOOGLE_", "GEMINI_", "AWS_")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(marks) and not name.lower().endswith("_proxy") and name not in ("PORT", "SSL_CERT_FILE")
    }
    done = subprocess.run(
        [sys.executable, "-m", "extproc", "run", "--", sys.executable, "-W", "ignore", "all.py"],
        capture_output=True, text=True, check=False, timeout=200, cwd=tmp_path,
        env={**environment, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    said = dict(enumerate(done.stdout.split("\n#")[1:]))
    talking = [number for number, example in enumerate(EXAMPLES) if "I am bob@example.net" in example]
    assert len(talking) == 4
    for number in talking:
        asked = EXAMPLES[number].count("I am bob@example.net")
        assert said[number].count("“I am [email]” Of course. Please write to [email], she") == asked, said[number]
    assert "@" not in done.stdout
    assert "refused by injection: The request was refused by the policy 'injection'.\n" in done.stdout
