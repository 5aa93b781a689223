r"""Private keys, signed tokens and credentials in addresses and headers: what has a standard and no provider.

Sources: RFC 7468 and 1421 (PEM), RFC 4880 (OpenPGP armor), RFC 7519 (JWT), RFC 3986 (user information in addresses),
RFC 7617, 6750 (Basic and Bearer), the documentation of age, PuTTY and WireGuard.

A key in lines is found by its beginning: the marker, headers and the first characters of its body. It then goes on as
long as its alphabet does, whatever its size, and up to an empty line or the end of its last marker; so a stream never has
to hold a key back.
"""

from __future__ import annotations

from typing import Final

from extproc.policy.secrets.checks import entropy, jwt, random_looking, stand_in, varied
from extproc.policy.secrets.family import Family, Shape
from extproc.policy.secrets.parts import SEPARATOR, prefixed

_GAP: Final = r"(?:[\s>\"',+]|\\{1,2}[nrt])"  # between the lines of a key: also escaped, quoted, or in a program
_HEADERS: Final = r"(?:[A-Z][A-Za-z-]{3,20}: [^\n\\]{0,120}(?:\n|\\{1,2}n))"
_BODY: Final = r"(?<!-)[A-Za-z0-9+/=\\\"',> \t]|(?<![\n-])[\r\n]|-|(?<=-)E"  # to the last dash behind END
_FIRST: Final = "[A-Za-z0-9+/=]{12}"
_NAME: Final = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?"

_DATABASES: Final = (
    r"(?i:postgres(?:ql)?|mysql|mariadb|mongodb|rediss?|valkeys?|amqps?|mssql|sqlserver|oracle|clickhouse|cockroachdb|"
    r"cassandra|couchbase|neo4j|bolt|snowflake|redshift|trino|nats|kafka|elasticsearch|influxdb|db2|firebird|h2|sqlite)"
    r"(?:\+[a-z0-9_]{1,16}){0,2}:(?:thin:)?//"
)
_SERVICES: Final = (
    r"(?i:https?|wss?|ftps?|sftp|ssh|git|svn|smtps?|imaps?|pop3s?|ldaps?|socks[45]h?|rtsps?|vnc|rdp|telnet|mqtts?)://"
)
_SCHEME: Final = r"(?i:basic|digest|apikey|token)\s{1,3}"
_USER: Final = r"[^\s:/@\"'<>?#]{0,100}:"
_BEFORE_AT: Final = r"[^\s/@\"'<>]{1,200}@"


def _in_url(password: str) -> bool:
    return (
        password.strip("*xX.") != ""
        and password not in ("pass", "pwd", "passwd")
        and not password.startswith(("$", "{", "%(", "["))
    )


def _in_pairs(password: str) -> bool:
    return len(password) >= 4 and not stand_in(password)


def _basic(value: str) -> bool:
    return varied(value) and not stand_in(value)


def _bearer(value: str) -> bool:
    return random_looking(value) and entropy(value) >= 3 and not stand_in(value)


FAMILIES: Final = (
    Family("private_key", "key", "private keys in PEM, OpenSSH, PGP, PuTTY and SSH2 form, of any length", (
        Shape(f"-{{4,5}} ?BEGIN {_NAME} ?-{{4,5}}", f"{_GAP}{{1,40}}{_HEADERS}{{0,6}}{_GAP}{{0,40}}{_FIRST}", more=_BODY),
        Shape(r"\bPrivate-Lines: ", r"\d{1,3}(?:\r?\n|\\n)" + _FIRST, more=_BODY),
    )),
    Family("age_key", "key", "age secret keys", (prefixed("AGE-SECRET-KEY-(?:PQ-)?1", "[0-9A-Z]{58}", more="[0-9A-Z]"),)),
    Family("wireguard", "key", "WireGuard private and preshared keys", (
        Shape("(?i:PrivateKey|PresharedKey)", "[A-Za-z0-9+/]{43}=", random_looking, lead=r"\s{0,3}=\s{0,3}"),
    )),
    Family("jwk", "key", "private parts of JSON Web Keys", (
        Shape(r'"(?:d|dp|dq|qi|k)"', r"[\w-]{42,900}", random_looking, lead=r'\s{0,4}:\s{0,4}"'),
    )),
    Family("jwt", "token", "JSON Web Tokens, whose header must decode", (
        prefixed(r"\beyJ", r"[A-Za-z0-9]{10,500}\.[\w-]{10,400}", jwt, more=r"[\w.-]", whole=True),
    )),
    Family("connection_string", "database", "passwords in addresses and connection strings of databases and queues", (
        Shape(_DATABASES, _BEFORE_AT, _in_url, lead=_USER, keep=1),
        Shape(r"(?i:;\s?(?:password|pwd))", r"[^\s;\"'<>{}]{1,128}", _in_pairs, lead=r"\s{0,2}=\s{0,2}"),
        Shape(r"(?i:[?&](?:password|passwd|pwd))", r"[^\s&;\"'<>{}]{1,128}", _in_pairs, lead="="),
    )),
    Family("basic_auth_url", "token", "passwords in other addresses", (
        Shape(_SERVICES, _BEFORE_AT, _in_url, lead=_USER, keep=1),
    )),
    Family("authorization", "token", "credentials in Authorization headers", (
        Shape("(?i:authorization)", r"[A-Za-z0-9+/=_-]{12,512}", _basic, lead=SEPARATOR + _SCHEME),
        Shape(r"(?i:\bbearer)", r"[\w.~+/=-]{16,512}", _bearer, lead=r"\s{1,3}"),
    )),
)  # fmt: skip
