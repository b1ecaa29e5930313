"""What the agent may do: decided before each call, by rules a person can read.

Payments go only to accounts in the vendor register: enforced. Mail to strangers is only watched, as many first policies
do (`mode` is `monitor`): the demo's second question shows what that costs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

VERSION = "2026-11-01"
MAX_PAYMENT_EUR = 5000


@dataclass(frozen=True)
class Verdict:
    """What the policy says of one call, in the words of the record's `policy` facet."""

    effect: str
    rule: str
    mode: str = "enforce"
    reason: str | None = None


def decide(tool: str, arguments: Mapping[str, str], register: str) -> Verdict:
    """Judge a call.

    Args:
        tool: the tool's name.
        arguments: what it would be called with.
        register: the text of the vendor register: known accounts and addresses.
    """
    if tool == "send_payment":
        if arguments["iban"] not in register.split():
            return Verdict("deny", "payee-in-register", reason="unknown_payee")
        if Decimal(arguments["amount_eur"]) > MAX_PAYMENT_EUR:
            return Verdict("deny", "payment-limit", reason="amount_too_high")
        return Verdict("allow", "payee-in-register")
    if tool == "send_email":
        stranger = arguments["to"] not in register.split()
        return Verdict(
            "allow", "mail-to-known-addresses", "monitor", "unknown_recipient" if stranger else None
        )
    return Verdict("allow", "reading-is-free")
