"""Tokens and webhooks of chat, mail and telephony services. Source: each service's own documentation."""

from __future__ import annotations

from typing import Final

from extproc.policy.secrets.checks import varied
from extproc.policy.secrets.family import Family, Shape
from extproc.policy.secrets.parts import ALNUM, LOWER_HEX, URLSAFE, named, prefixed

_PATH: Final = "(?:)"  # a lead of its own: the host stays, what follows is the secret

FAMILIES: Final = (
    Family("slack", "messaging", "Slack tokens and webhooks", (
        prefixed(r"\bxox[abeoprs]-", r"(?:\d{1,2}-)?[A-Za-z0-9-]{20,250}"),
        prefixed(r"\bxox[cd]-", "[A-Za-z0-9%/+=_-]{40,400}", more="[A-Za-z0-9%/+=_-]"),
        prefixed(r"\bxoxe\.", r"xox[bp]-\d-[A-Za-z0-9]{100,200}"),
        prefixed(r"\bxapp-", r"\d-[A-Z0-9]{6,16}-\d{6,16}-[A-Za-z0-9]{32,80}"),
        Shape(r"hooks\.slack\.com/(?:services|workflows|triggers)/", "[A-Za-z0-9_+/-]{20,120}", varied, lead=_PATH),
    )),
    Family("discord", "messaging", "Discord bot tokens and webhooks", (
        prefixed(r"\b[MNO][A-Za-z0-9]{23,25}\.", r"[\w-]{6}\.[\w-]{27,38}"),
        Shape(r"discord(?:app)?\.com/api/", r"\d{16,21}/[\w-]{60,80}", varied, lead=r"(?:v\d{1,2}/)?webhooks/"),
    )),
    Family("telegram", "messaging", "Telegram bot tokens", (
        prefixed(r"\b\d{8,10}:AA", URLSAFE + "{33,34}", most=33),
        prefixed(r"api\.telegram\.org/(?:file/)?bot", r"\d{8,10}:[\w-]{35}"),
    )),
    Family("teams", "messaging", "Microsoft Teams webhooks", (
        Shape(r"\.webhook\.office\.com/webhookb2/", r"[\w@/-]{60,240}", varied, lead=_PATH),
    )),
    Family("twilio", "messaging", "Twilio account and key ids; auth tokens by name", (
        prefixed(r"\b(?:SK|AC)", r"[a-z0-9]{32}\b", None),
        named("twilio", LOWER_HEX + r"{32}\b"),
    )),
    Family("sendgrid", "messaging", "SendGrid keys", (prefixed(r"\bSG\.", r"[\w-]{22}\.[\w-]{43,44}", most=66),)),
    Family("mailgun", "messaging", "Mailgun keys", (
        prefixed(r"\b(?:pub)?key-", LOWER_HEX + r"{32}\b"),
        prefixed(r"\b[0-9a-f]{32}-", r"[0-9a-f]{8}-[0-9a-f]{8}\b", whole=True),
    )),
    Family("mailchimp", "messaging", "Mailchimp and Mandrill keys", (
        prefixed(r"\b[0-9a-f]{32}-us", r"\d{1,2}\b", whole=True),
        prefixed(r"\bmd-", URLSAFE + "{22,23}", most=22),
    )),
    Family("brevo", "messaging", "Brevo (Sendinblue) keys", (prefixed(r"\bxkeysib-", "[0-9a-f]{64}-[A-Za-z0-9]{16}"),)),
    Family("resend", "messaging", "Resend keys", (prefixed(r"\bre_", "[A-Za-z0-9]{8,12}_[A-Za-z0-9]{20,30}"),)),
    Family("postmark", "messaging", "Postmark tokens, by name", (
        named("postmark", "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"),
    )),
    Family("vonage", "messaging", "Vonage and Plivo secrets, by name", (
        named("vonage|nexmo", ALNUM + r"{16}\b"),
        named("plivo", ALNUM + "{40,60}"),
    )),
)  # fmt: skip
