"""Asks a person, by whatever the organisation has for that: one HTTP POST to a configured address, which answers with the decision.

    POST <approval.url>            Authorization: Bearer <token>
    {"action_id": "…", "rule": "payments", "method": "tools/call", "tool": "pay", "server": "bank", "arguments": {…},
     "arguments_commitment": "<hex>", "salt": "<hex>", "agent": {…}, "expires_at": "2026-11-21T12:00:00Z"}

    200 {"action_id": "…", "outcome": "approved" | "rejected", "approver": "alice@example.com", "id": "CHG-17"}

The request stays open until the person decided or the time is over. No answer in time, and any answer that is not exactly this, is no
approval. `arguments_commitment` is SHA-256 of 0x02, the salt and the arguments' bytes (docs/format.md): with it the approver can
prove later what was approved, and so can the ledger, where all of it is the content `approval.shown`.
"""

import asyncio
import json
import os
import time
from collections.abc import Mapping
from typing import Any, Final, Literal

import httpx
import msgspec

from ledger.gateway.policy import Approvals
from ledger.records.commit import commitment_hex
from ledger.records.values import time_text

MAX_ANSWER_BYTES: Final = 64 * 1024
MAX_SHOWN_BYTES: Final = 256 * 1024
CONNECT_TIMEOUT_S: Final = 10.0
SALT_BYTES: Final = 16
NANOSECONDS: Final = 1_000_000_000

Outcome = Literal["approved", "rejected", "expired"]


class Ruling(msgspec.Struct, frozen=True):
    """What came of asking.

    Attributes:
        outcome: approved, rejected, or expired, which is also what no proper answer counts as.
        why: for the client, where it is not approved.
        commitment: of the arguments, in hex.
        shown: all that the approver was told.
        approver, id: as the answer has them.
    """

    outcome: Outcome
    why: str
    commitment: str
    shown: msgspec.Raw
    approver: str | None = None
    id: str | None = None


class _Answer(msgspec.Struct):
    action_id: str
    outcome: Literal["approved", "rejected"]
    approver: str
    id: str | None = None


class Approver:
    """Where approvals are asked for."""

    def __init__(self, settings: Approvals) -> None:
        """Nothing is sent yet.

        Raises:
            ValueError: the variable that should hold the token is empty.
        """
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if settings.token_variable:
            token = os.environ.get(settings.token_variable, "").strip()
            if not token:
                raise ValueError(f"approval.token_variable: ${settings.token_variable} holds no token")
            headers["Authorization"] = f"Bearer {token}"
        self._settings = settings
        timeout = httpx.Timeout(None, connect=CONNECT_TIMEOUT_S)  # the whole is timed in `ask`
        # No redirects: the token, and what is asked, go nowhere else.
        self._http = httpx.AsyncClient(
            headers=headers, timeout=timeout, follow_redirects=False, trust_env=False
        )

    async def ask(self, action_id: str, arguments: msgspec.Raw | None, question: Mapping[str, Any]) -> Ruling:
        """Ask, and wait. Never raises for what the other side does: no answer is no approval."""
        salt, value = os.urandom(SALT_BYTES), bytes(arguments) if arguments is not None else b"null"
        commitment = commitment_hex(salt, value)
        expires_ns = time.time_ns() + self._settings.timeout_s * NANOSECONDS
        told = {
            "action_id": action_id,
            **question,
            "arguments": msgspec.Raw(value),
            "arguments_commitment": commitment,
            "salt": salt.hex(),
            "expires_at": time_text(expires_ns),
        }
        shown = msgspec.Raw(msgspec.json.encode(told))
        if len(value) > MAX_SHOWN_BYTES:
            return Ruling("expired", "its arguments are too large to be shown to anyone", commitment, shown)
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                answer = await self._answer(shown, action_id)
        except TimeoutError:
            return Ruling(
                "expired", f"nobody approved it within {self._settings.timeout_s} s", commitment, shown
            )
        except (httpx.HTTPError, _NoAnswerError) as error:
            return Ruling("expired", f"approval could not be asked for: {error}", commitment, shown)
        why = "" if answer.outcome == "approved" else "it was not approved"
        return Ruling(answer.outcome, why, commitment, shown, answer.approver, answer.id)

    async def _answer(self, shown: msgspec.Raw, action_id: str) -> _Answer:
        headers = {"Content-Type": "application/json"}
        body = bytearray()
        async with self._http.stream(
            "POST", self._settings.url, content=bytes(shown), headers=headers
        ) as response:
            if response.status_code != httpx.codes.OK:
                raise _NoAnswerError(f"status {response.status_code}")
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise _NoAnswerError("an answer in an encoding that was not asked for")
            async for chunk in response.aiter_raw():  # decoded it may be gigabytes before it is counted
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise _NoAnswerError("an answer of more than 64 KiB")
        try:
            answer = msgspec.json.decode(body, type=_Answer)
        except (msgspec.MsgspecError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise _NoAnswerError(f"not the answer that was asked for: {error}") from None
        if answer.action_id != action_id or not answer.approver:
            raise _NoAnswerError("an answer about another action, or of nobody")
        return answer

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


class _NoAnswerError(Exception):
    pass
