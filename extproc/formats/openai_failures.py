"""OpenAI's words for what goes wrong, the same in all its APIs.

Source: OpenAI API reference, "Errors"; the statuses that compatible servers add.
"""

from __future__ import annotations

from typing import Final

from extproc.chat.answer import FailureKind

BY_STATUS: Final = {
    401: FailureKind.AUTHENTICATION,
    402: FailureKind.PERMISSION,
    403: FailureKind.PERMISSION,
    404: FailureKind.NOT_FOUND,
    408: FailureKind.TIMEOUT,
    413: FailureKind.TOO_LARGE,
    429: FailureKind.RATE_LIMIT,
    503: FailureKind.OVERLOADED,
    504: FailureKind.TIMEOUT,
    529: FailureKind.OVERLOADED,
}
TYPES: Final = {
    FailureKind.INVALID: "invalid_request_error",
    FailureKind.AUTHENTICATION: "authentication_error",
    FailureKind.PERMISSION: "permission_error",
    FailureKind.NOT_FOUND: "not_found_error",
    FailureKind.TOO_LARGE: "request_too_large",
    FailureKind.RATE_LIMIT: "rate_limit_error",
    FailureKind.OVERLOADED: "overloaded_error",
    FailureKind.TIMEOUT: "timeout_error",
    FailureKind.FILTERED: "content_filter",
    FailureKind.INTERNAL: "server_error",
}
