"""Gemini's schemas as JSON Schema.

Source: Gemini API reference, "Schema": a subset of OpenAPI 3.0's, with types in capitals and 64-bit numbers as strings.
"""

from __future__ import annotations

from typing import Any, Final

from extproc.formats.gemini.names import camel

_NUMBERS: Final = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
_RENAMED: Final = {"ref": "$ref", "defs": "$defs"}
_DROPPED: Final = frozenset({"nullable", "propertyOrdering", "type", "example"})


def json_schema(value: Any) -> Any:
    """The same in JSON Schema; what is no object stays as it is."""
    if not isinstance(value, dict):
        return value
    given = {camel(name): child for name, child in value.items()}
    found: dict[str, Any] = {}
    kind = given.get("type")
    if isinstance(kind, str) and kind != "TYPE_UNSPECIFIED":
        found["type"] = kind.lower()
    elif kind is not None and not isinstance(kind, str):
        found["type"] = kind
    for name, child in given.items():
        if name not in _DROPPED:
            found[_RENAMED.get(name, name)] = _member(name, child)
    if "example" in given:
        found["examples"] = [given["example"]]
    _order(found, given.get("propertyOrdering"))
    return _nullable(found) if given.get("nullable") is True else found


def _member(name: str, value: Any) -> Any:
    if name in ("properties", "defs") and isinstance(value, dict):
        return {key: json_schema(child) for key, child in value.items()}
    if name in ("items", "additionalProperties"):
        return json_schema(value)
    if name in ("anyOf", "prefixItems") and isinstance(value, list):
        return [json_schema(each) for each in value]
    if name in _NUMBERS and isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        return int(value)
    return value


def _order(schema: dict[str, Any], ordering: Any) -> None:
    """JSON Schema has no other order of members than that they are written in."""
    properties = schema.get("properties")
    if isinstance(properties, dict) and isinstance(ordering, list):
        first = [name for name in ordering if isinstance(name, str) and name in properties]
        schema["properties"] = {name: properties[name] for name in [*first, *properties]}


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    if isinstance(schema.get("anyOf"), list):
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    if isinstance(schema.get("type"), str):
        schema = {**schema, "type": [schema["type"], "null"]}
    if isinstance(schema.get("enum"), list):
        schema = {**schema, "enum": [*schema["enum"], None]}
    return schema
