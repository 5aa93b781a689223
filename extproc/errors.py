"""Every exception this package raises on purpose.

ExtprocError
├── ConfigError        a configuration or pack cannot be used; carries where
├── ProtocolError      the peer broke the order of the ext_proc protocol
├── DecodeError        bytes or JSON from outside are malformed; says which side sent them
├── LimitExceeded      something is larger than its cap
├── Unrepresentable    a request says what the format it would go in cannot
├── Refused            a request cannot be served, with the status and code the client is told
└── StartupError       Envoy or the processor could not be started

Anything else that is raised is a bug. A policy that blocks is a verdict, not an exception.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class ExtprocError(Exception):
    """Root of all errors raised on purpose."""


class StartupError(ExtprocError):
    """Envoy or the processor could not be started; the text tells the operator what to do."""


class ProtocolError(ExtprocError):
    """Envoy sent a message that the protocol does not allow in this state."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration: a message and where it stands.

    ``line`` and ``column`` count from 1; 0 means unknown.
    """

    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    path: str = ""

    def __str__(self) -> str:
        where = self.file
        if self.line:
            where += f":{self.line}:{self.column}"
        at = f" {self.path}:" if self.path else ""
        return f"{where}:{at} {self.message}" if where else f"{at} {self.message}".strip()


class ConfigError(ExtprocError):
    """A configuration cannot be used; ``problems`` lists everything found, not just the first."""

    def __init__(self, problems: list[Problem] | str) -> None:
        self.problems = [Problem(problems)] if isinstance(problems, str) else problems
        super().__init__("\n".join(str(problem) for problem in self.problems))


class DecodeError(ExtprocError):
    """Bytes from outside are not what they claim to be. The text never quotes them."""


class LimitExceeded(ExtprocError):
    """Something from outside is larger than its cap. The text names the cap."""


class Refused(ExtprocError):
    """A request that cannot be served: what the client is told.

    Args:
        status: HTTP status code.
        code: stable machine-readable reason, also the detail Envoy logs (``llm_<code>``).
        message: one sentence for the client; never quotes content.
        kind: the error ``type`` in the client's format.
    """

    def __init__(self, status: int, code: str, message: str, kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.kind = kind


class Unrepresentable(ExtprocError):
    """Part of a request has no way of being said in the format it would have to go in: 422.

    Args:
        path: where it stands in the request.
        what: a few fixed words, never content.
    """

    def __init__(self, path: Sequence[str | int], what: str) -> None:
        super().__init__(what)
        self.path = tuple(path)
        self.what = what
