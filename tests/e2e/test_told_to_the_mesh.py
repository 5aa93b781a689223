"""What the guard tells a mesh's own filters and logs, as dynamic metadata: verdicts at once, usage at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from extproc.envoy import binary, process
from extproc.errors import StartupError
from tests.e2e.shop import Proxy, Shop, chat, waited
from tests.e2e.shop_traffic import ask_models, said

TYPE = "type.googleapis.com/envoy.extensions"
REFUSED = {
    "name": "envoy.filters.http.rbac",
    "typed_config": {
        "@type": f"{TYPE}.filters.http.rbac.v3.RBAC",
        "rules": {
            "action": "DENY",
            "policies": {
                "prompts with addresses": {
                    "permissions": [{"any": True}],
                    "principals": [{
                        "metadata": {
                            "filter": "llm.extproc.verdicts",
                            "path": [{"key": "request"}],
                            "value": {"string_match": {"exact": "redact"}},
                        }
                    }],
                }
            },
        },
    },
}  # fmt: skip
"""As docs/metadata.md has it."""


def with_log(shop: Shop, name: str, *, refuse: bool) -> tuple[Path, Path]:
    """The proxy's file with the guard, an access log and perhaps a filter that goes by verdicts; and the log."""
    path = shop.file(name, "--guard-only")
    log = path.with_suffix(".access")
    value = yaml.safe_load(
        path.read_text("utf-8").replace("!ignore ", "")
    )  # Envoy passes over it; PyYAML knows no such tag
    value.pop("shared")
    manager = value["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    fields = {each: f"%DYNAMIC_METADATA(llm.extproc.{each})%" for each in ("verdicts", "usage")}
    fields["tokens"] = "%DYNAMIC_METADATA(llm.extproc.usage:total)%"
    fields["status"] = "%RESPONSE_CODE%"
    manager["access_log"] = [{
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": f"{TYPE}.access_loggers.file.v3.FileAccessLog",
            "path": str(log),
            "log_format": {"json_format": fields},
        },
    }]  # fmt: skip
    if refuse:
        manager["http_filters"].insert(len(manager["http_filters"]) - 1, REFUSED)
    path.write_text(yaml.safe_dump(value, sort_keys=False), "utf-8")
    return path, log


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    found = Shop(tmp_path_factory.mktemp("told"))
    try:
        found.processor.start()
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module", params=[False, True], ids=["log", "log and rbac"])
def proxy(shop: Shop, request: pytest.FixtureRequest) -> Iterator[tuple[Proxy, Path, bool]]:
    path, log = with_log(shop, f"told{request.param}", refuse=request.param)
    made = Proxy(path, shop.ca)
    yield made, log, request.param
    made.stop()


def last(log: Path, lines: int) -> dict[str, Any]:
    """The newest line, once there are so many."""
    found = waited(lambda: (rows := log.read_text().splitlines())[lines - 1 :] and rows)
    line: dict[str, Any] = json.loads(found[-1])
    return line


def test_logs_and_filters_know_what_was_found(shop: Shop, proxy: tuple[Proxy, Path, bool]) -> None:
    envoy, log, refuses = proxy
    answer = ask_models(envoy, chat("hello"), x_answer="Write to ada@example.com today.")
    assert said(answer) == "Write to [email] today."
    line = last(log, 1)
    assert line["verdicts"]["request"] == "allow"
    assert line["verdicts"]["policies"] == {"emails:redact": 1}
    assert line["usage"]["model"] == "gpt-4o"
    assert line["usage"]["backend"] == "models"
    assert line["tokens"] == line["usage"]["input"] + line["usage"]["output"] > 0
    before = len(shop.models.seen)
    answer = ask_models(envoy, chat("I am ada@example.com"))
    assert answer.status == (403 if refuses else 200)
    assert len(shop.models.seen) == before + (not refuses)
    line = last(log, 2)
    assert (line["status"], line["verdicts"]["request"]) == (answer.status, "redact")
    assert ask_models(envoy, chat("xyzzy")).status == 400
    line = last(log, 3)
    assert (line["verdicts"]["request"], line["verdicts"]["blocked_by"]) == ("block", "forbidden")


def blocks() -> list[Any]:
    """What docs/metadata.md tells users to write."""
    page = (Path(__file__).parents[2] / "docs" / "metadata.md").read_text("utf-8")
    return [yaml.safe_load(each.partition("```")[0]) for each in page.split("```yaml\n")[1:]]


def test_the_page_says_what_is_tried_here(tmp_path: Path) -> None:
    log, rbac, limits = blocks()
    assert rbac == [REFUSED]
    assert set(log["log_format"]["json_format"].values()) == {
        "%DYNAMIC_METADATA(llm.extproc.verdicts)%",
        "%DYNAMIC_METADATA(llm.extproc.usage:total)%",
    }
    route = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
    host = {"name": "all", "domains": ["*"], "routes": [route], **limits}
    manager = {
        "@type": f"{TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "x",
        "route_config": {"virtual_hosts": [host]},
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{TYPE}.filters.http.router.v3.Router"}}
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    listener = {"name": "x", "address": address, "filter_chains": [chain]}
    path = tmp_path / "envoy.yaml"
    path.write_text(yaml.safe_dump({"static_resources": {"listeners": [listener]}}), "utf-8")
    process.validate(binary.find(), path)
    host["rate_limits"][0]["hits_addend"] = {"format": 3}
    path.write_text(yaml.safe_dump({"static_resources": {"listeners": [listener]}}), "utf-8")
    with pytest.raises(StartupError):
        process.validate(binary.find(), path)
