"""Keys of payment services and shops. Source: each service's own documentation of its keys."""

from __future__ import annotations

from typing import Final

from extproc.policy.secrets.checks import varied
from extproc.policy.secrets.family import Family
from extproc.policy.secrets.parts import ALNUM, URLSAFE, named, prefixed

FAMILIES: Final = (
    Family("stripe", "payment", "Stripe secret, restricted and webhook keys; Paystack's look the same", (
        prefixed(r"\b[sr]k_(?:live|test|prod)_", ALNUM + "{10,250}", varied),
        prefixed(r"\bwhsec_", "[A-Za-z0-9+/=]{24,80}"),
    )),
    Family("square", "payment", "Square tokens and secrets", (
        prefixed(r"\bsq0[a-z]{3}-", URLSAFE + "{22,50}"),
        prefixed(r"\bEAAA[A-Za-z]", URLSAFE + "{55,62}"),
    )),
    Family("paypal", "payment", "PayPal and Braintree tokens", (
        prefixed(r"\baccess_token\$(?:production|sandbox)\$", r"[0-9a-z]{16}\$[0-9a-f]{32}"),
        named("paypal", URLSAFE + "{80,81}", most=80),
        named("braintree", r"[0-9a-f]{32}\b"),
    )),
    Family("shopify", "payment", "Shopify tokens and secrets", (prefixed(r"\bshp(?:at|ca|pa|ss|tka)_", "[0-9A-Fa-f]{32}"),)),
    Family("razorpay", "payment", "Razorpay keys", (prefixed(r"\brzp_(?:live|test)_", ALNUM + r"{14}\b"),)),
    Family("adyen", "payment", "Adyen keys", (prefixed(r"\bAQE[a-z]hmf", "[A-Za-z0-9+/=]{40,250}"),)),
    Family("flutterwave", "payment", "Flutterwave keys", (prefixed(r"\bFLWSECK(?:_TEST)?-", r"[0-9A-Za-z]{12,40}(?:-X)?"),)),
    Family("plaid", "payment", "Plaid secrets, by name", (
        named("plaid", r"[0-9a-f]{30}\b"),
        prefixed(r"\baccess-(?:sandbox|development|production)-", "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    )),
    Family("shippo", "payment", "Shippo and EasyPost keys", (
        prefixed(r"\bshippo_(?:live|test)_", "[0-9a-f]{40}"),
        prefixed(r"\bEZ[AT]K", ALNUM + r"{54}\b"),
    )),
)  # fmt: skip
