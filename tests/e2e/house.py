"""Policies in Python, as an operator would write them; the tests' configuration names them."""

from __future__ import annotations

import time

from extproc.plugin import Audit, Block, Caller, Patch, Reply, Request, Text


class Inspects:
    def inspect(self, texts: list[Text], caller: Caller) -> Block | Audit | None:
        if any("shazam" in each.text for each in texts):
            return Block("magic")
        return Audit("seen") if any("abra" in each.text for each in texts) else None


class Hooks:
    def request(self, request: Request) -> Block | Reply | Patch | None:
        text = request.spans[0].text
        if text == "no":
            return Block("no", "The house said no.")
        if text == "answer":
            return Reply("The house answers.")
        if text == "raise":
            raise RuntimeError("house")
        return Patch(parameters={"temperature": 0.5, "top_p": None}, system="Be brief.") if text == "patch" else None


class Hangs:
    def inspect(self, texts: list[Text], caller: Caller) -> None:
        time.sleep(1.5)
