"""Azure by request header: a client names the resource and the deployment it means.

``x-llm-azure-resource`` and ``x-llm-azure-deployment``, or as Usage Panda called them ``x-usagepanda-azure-…``. The resource
must be that of a provider with ``azure_headers: true``: a header chooses among the operator's resources and never names a
host of its own, so that keys and prompts go nowhere the operator has not been. The deployment may be any of the resource's,
and stands for the one that the model would have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from extproc.errors import Refused

_PREFIXES: Final = ("x-llm-azure-", "x-usagepanda-azure-")
_RESOURCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}", re.ASCII)
_DEPLOYMENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What headers ask for: the provider, by its name in the configuration, and a deployment, or "" for the model's."""

    provider: str
    deployment: str


def chosen(headers: Mapping[str, str], resources: Mapping[str, str]) -> Chosen | None:
    """What a request's headers ask for, if they do.

    Args:
        headers: the client's, names in lower case.
        resources: names of resources, in lower case, to names of providers; empty: nobody may choose, and the headers mean
            nothing.

    Raises:
        Refused: they ask for what is not to be had; nothing of them is quoted.
    """
    resource, deployment = _said(headers, "resource"), _said(headers, "deployment")
    if not resources or (not resource and not deployment):
        return None
    if not resource:
        raise _refused("A header names an Azure deployment, but none the resource.")
    if not _RESOURCE.fullmatch(resource) or (deployment and not _DEPLOYMENT.fullmatch(deployment)):
        raise _refused("A header's Azure resource or deployment is not a name.")
    provider = resources.get(resource.lower())
    if provider is None:
        raise _refused("A header names an Azure resource that is not configured here.")
    return Chosen(provider, deployment)


def _said(headers: Mapping[str, str], what: str) -> str:
    found = {value for prefix in _PREFIXES if (value := headers.get(prefix + what, "").strip())}
    if len(found) > 1:
        raise _refused(f"Two headers name different Azure {what}s.")
    return found.pop() if found else ""


def _refused(why: str) -> Refused:
    return Refused(400, "azure_header", why)
