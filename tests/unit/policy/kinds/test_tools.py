"""Tools a request may offer."""

import pytest

from tests.unit.policy.kinds.support import refused

ALLOW = {"kind": "tools", "allow": ["get_*"]}
DENY = {"kind": "tools", "deny": ["shell", "rm_*"]}
FORBID = {"kind": "tools", "forbid": True}
TYPES = {"kind": "tools", "types": ["function", "custom", "web_search*"]}


def offers(name):
    """The same tool in every format."""
    return [
        {"tools": [{"type": "function", "function": {"name": name, "parameters": {}}}]},
        {"tools": [{"type": "function", "name": name, "parameters": {}}]},
        {"tools": [{"type": "custom", "custom": {"name": name}}]},
        {"tools": [{"name": name, "input_schema": {}}]},
        {"tools": [{"functionDeclarations": [{"name": "get_x"}, {"name": name}]}]},
        {"tools": [{"function_declarations": [{"name": name}]}]},
        {"tools": {"functionDeclarations": {"name": name}}},
        {
            "toolConfig": {
                "tools": [{"toolSpec": {"name": name, "inputSchema": {}}}, {"cachePoint": {"type": "default"}}]
            }
        },
        {"functions": [{"name": name, "parameters": {}}]},
        {"tools": [{"type": "namespace", "name": "get_all", "tools": [{"type": "function", "name": name}]}]},
        {"tools": [[{"type": "function", "name": name}]]},
        {"mcp_servers": [{"name": name, "url": "https://x"}]},
    ]


@pytest.mark.parametrize("at", range(len(offers(""))))
def test_names_in_every_format(at):
    assert refused(ALLOW, offers("get_x")[at]) is None
    assert refused(ALLOW, offers("shell")[at]) == "not_allowed"
    assert refused(ALLOW, offers("Get_x")[at]) == "not_allowed"
    for name in ("shell", "SHELL", " Shell ", "rm_all"):
        assert refused(DENY, offers(name)[at]) == "denied"
    assert refused(DENY, offers("shell2")[at]) is None
    assert refused(FORBID, offers("get_x")[at]) == "forbidden"


@pytest.mark.parametrize(
    "none", [{}, {"tools": []}, {"tools": None}, {"functions": [], "tool_choice": "none"}, {"tools": {}}]
)
def test_no_tools_are_fine(none):
    for config in (ALLOW, DENY, FORBID, TYPES):
        assert refused(config, none) is None


@pytest.mark.parametrize(
    ("tool", "fine"),
    [
        ({"type": "function", "function": {"name": "f"}}, True),
        ({"type": "Function", "function": {"name": "f"}}, True),
        ({"name": "f", "input_schema": {}}, True),
        ({"type": "custom", "name": "f"}, True),
        ({"type": "web_search"}, True),
        ({"type": "web_search_20250305", "name": "web_search"}, True),
        ({"webSearch": {}}, True),
        ({"functionDeclarations": [{"name": "f"}]}, True),
        ({"type": "mcp", "server_url": "https://x"}, False),
        ({"type": "code_interpreter", "container": {"type": "auto"}}, False),
        ({"type": "computer_20250124", "name": "computer"}, False),
        ({"codeExecution": {}}, False),
        ({"functionDeclarations": [{"name": "f"}], "codeExecution": {}}, False),
        ({"type": "function ", "name": "f"}, False),
        ({"type": None, "name": "f"}, True),
        ({"type": ["function"], "name": "f"}, False),
        ({"type": "code_interpreter", "function": {"name": "f"}}, False),
        ("function", True),
        ("mcp", False),
        (7, False),
    ],
)
def test_types(tool, fine):
    assert refused(TYPES, {"tools": [tool]}) == (None if fine else "type")


def test_tools_with_a_field_of_their_own_have_a_type_too():
    assert refused(TYPES, {"web_search_options": {"a": 1}}) is None
    assert refused(TYPES, {"mcp_servers": [{"name": "x"}]}) == "type"
    assert refused(TYPES, {"plugins": [{"id": "web"}]}) == "type"
    assert refused(ALLOW, {"web_search_options": {}}) == "not_allowed"
    assert refused(FORBID, {"web_search_options": {}}) == "forbidden"


def test_a_tool_with_two_names_has_both():
    tool = {"type": "function", "name": "get_x", "function": {"name": "shell"}}
    assert refused(ALLOW, {"tools": [tool]}) == "not_allowed"
    assert refused(DENY, {"tools": [tool]}) == "denied"


@pytest.mark.parametrize(
    "tool", [{"type": "function", "function": {"name": ["get_x"]}}, {"name": 5}, 5, {"function": {}}, {"name": ""}]
)
def test_what_cannot_be_read_is_refused(tool):
    assert refused(ALLOW, {"tools": [tool]}) == "unreadable"
    assert refused(DENY, {"tools": [tool]}) == "unreadable"


@pytest.mark.parametrize(
    ("body", "forced"),
    [
        ({}, False),
        ({"tool_choice": None}, False),
        *(
            ({"tool_choice": free}, False)
            for free in ("auto", "none", {"type": "auto"}, {"type": "none"}, {"auto": {}})
        ),
        ({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}}, False),
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}}, False),
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": []}}}, True),
        ({"tool_choice": {"mode": "auto", "allowed_tools": {"mode": "required"}}}, True),
        ({"toolConfig": {"functionCallingConfig": {"mode": "AUTO"}}}, False),
        ({"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}, True),
        ({"tool_config": {"function_calling_config": {"mode": "any"}}}, True),
        ({"toolConfig": {"toolChoice": {"any": {}}}}, True),
        ({"toolConfig": {"toolChoice": {"tool": {"name": "f"}}}}, True),
        *(
            ({"tool_choice": odd}, True)
            for odd in ("required", "Required", "any", " auto", ["auto"], 1, True, {"type": "any"})
        ),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, True),
        ({"function_call": {"name": "f"}}, True),
        ({"function_call": "auto"}, False),
        ({"messages": [{"function_call": {"name": "f"}}]}, False),
    ],
)
def test_making_the_model_use_a_tool(body, forced):
    assert refused({"kind": "tools", "forbid_required": True}, body) == ("required" if forced else None)
