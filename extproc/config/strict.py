"""The base of all configuration models: unknown keys are errors, and an error knows which keys are allowed."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, model_validator


class Strict(BaseModel):
    """Refuses unknown keys; immutable once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _remember_fields(cls, data: Any, info: ValidationInfo) -> Any:
        # lets the reader of an "unknown key" error say which keys this very mapping may have
        if isinstance(info.context, dict) and isinstance(data, dict):
            info.context[id(data)] = sorted(field.alias or name for name, field in cls.model_fields.items())
        return data
