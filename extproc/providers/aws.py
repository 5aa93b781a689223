"""Temporary keys of AWS, through botocore: it knows profiles, web identities, containers, instances and roles.

botocore is no dependency: ``pip install llm-extproc[aws]`` brings it. Its calls block, so they are made in a thread.
Sources: botocore's credential chain; AWS STS API reference, AssumeRole.
"""

from __future__ import annotations

import asyncio
import datetime
import importlib.util
import time
from dataclasses import dataclass, field
from typing import Any, Final

from extproc.providers.credentials import Token
from extproc.providers.fetch import FetchError

_SESSION: Final = "llm-extproc"
_STATIC: Final = 900.0
"""Seconds after which keys without an end, of a profile, are read again."""


def installed() -> bool:
    """Whether botocore is there."""
    return importlib.util.find_spec("botocore") is not None


@dataclass(frozen=True, slots=True)
class Chain:
    """Keys of a profile, or with ``profile`` empty of the machine or pod; then, with ``role``, of that role.

    ``keys``: use these instead of the chain, to assume the role with. ``sts``: another address of STS.
    """

    region: str
    profile: str = ""
    role: str = ""
    keys: tuple[str, ...] = field(default=(), repr=False)
    sts: str = ""

    async def fetch(self, ca: str) -> Token:
        """See ``Source``."""
        try:
            return await asyncio.to_thread(self._fetch, ca)
        except FetchError:
            raise
        except Exception as error:  # botocore's own texts may quote what was sent
            why = type(error).__name__
        raise FetchError(f"botocore gave no keys ({why})")

    def _fetch(self, ca: str) -> Token:
        from botocore.session import Session  # optional, and slow to import

        session = Session(profile=self.profile or None)
        session.set_config_variable("region", self.region)
        if self.keys:
            session.set_credentials(*self.keys)
        return self._assumed(session, ca) if self.role else _own(session)

    def _assumed(self, session: Any, ca: str) -> Token:
        client = session.create_client("sts", endpoint_url=self.sts or None, verify=ca or None)
        found = client.assume_role(RoleArn=self.role, RoleSessionName=_SESSION)["Credentials"]
        parts = (found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])
        return Token(parts, found["Expiration"].timestamp())


def _own(session: Any) -> Token:
    credentials = session.get_credentials()
    if credentials is None:
        raise FetchError("botocore finds no keys here")
    frozen = credentials.get_frozen_credentials()  # renews them where they are near their end
    until = getattr(credentials, "_expiry_time", None)  # botocore has no other name for it
    expires = until.timestamp() if isinstance(until, datetime.datetime) else time.time() + _STATIC
    return Token(tuple(filter(None, (frozen.access_key, frozen.secret_key, frozen.token))), expires)
