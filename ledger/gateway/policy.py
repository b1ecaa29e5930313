"""What may not pass, and what needs a person's word first: a TOML file, read once at the start.

TOML, because the standard library reads it, and because a rule in it is one table that shows what it is. A deny-list is a fence, not a
wall: `arguments` compares texts, and there are many ways to write one path. What no rule names is allowed.

    id = "finance"
    version = "7"

    [[deny]]
    rule = "no-deletes"
    tools = ["delete_*", "drop_*"]

    [[require_approval]]
    rule = "payments"
    servers = ["bank"]
    tools = ["pay"]
    arguments = { "to.country" = ["KP", "IR"] }

    [approval]
    url = "https://approvals.example/decide"
    token_variable = "APPROVALS_TOKEN"
    timeout_s = 120
"""

import fnmatch
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from ledger.gateway.message import folded_form, plain

MAX_POLICY_BYTES: Final = 1024 * 1024
MAX_TIMEOUT_S: Final = 24 * 3600
ENGINE: Final = "agent-ledger gateway"
TOOLS_CALL: Final = "tools/call"

Globs = list[str]
Effect = Literal["allow", "deny", "require_approval"]


class PolicyError(Exception):
    """The policy file is no good: the gateway does not start with a policy that it only half understands."""


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a call must look like. Every member that is given must match; a list matches when one of it does.

    Attributes:
        rule: its name, which stands in the record.
        tools: globs over the tool's, prompt's or resource's name (a resource's is its URI).
        servers: globs over the server's name.
        methods: globs over the JSON-RPC method.
        arguments: by dotted path into the arguments, globs over the text found there; lists are looked into.
        reason: a sentence for the client.
    """

    rule: str
    tools: Globs = msgspec.field(default_factory=lambda: ["*"])
    servers: Globs = msgspec.field(default_factory=lambda: ["*"])
    methods: Globs = msgspec.field(default_factory=lambda: [TOOLS_CALL])
    arguments: dict[str, str | Globs] = msgspec.field(default_factory=dict)
    reason: str = ""


class Approvals(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom to ask. `token_variable` names the environment variable with the bearer token for it."""

    url: str
    token_variable: str = ""
    timeout_s: int = 120


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    id: str = "gateway"
    version: str = ""
    deny: list[Rule] = msgspec.field(default_factory=list)
    require_approval: list[Rule] = msgspec.field(default_factory=list)
    approval: Approvals | None = None

    def judge(self, call: "Asked") -> "Verdict":
        """The first rule that matches: denials come before approvals."""
        order: tuple[tuple[Effect, list[Rule]], ...] = (
            ("deny", self.deny),
            ("require_approval", self.require_approval),
        )
        for effect, rules in order:
            for rule in rules:
                if _matches(rule, call):
                    return Verdict(effect, rule.rule, rule.reason, self.id, self.version)
        return Verdict("allow", "", "", self.id, self.version)


@dataclass(frozen=True, slots=True)
class Asked:
    """A call as rules see it."""

    method: str
    name: str
    server: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the policy says of a call."""

    effect: Effect
    rule: str
    reason: str
    id: str
    version: str

    def facet(self, effect: Effect) -> dict[str, Any]:
        """The record's `policy`, with what it came to."""
        named = {"rule": self.rule, "version": self.version}
        known = {member: value for member, value in named.items() if value}
        return {"effect": effect, "engine": ENGINE, "id": self.id, "mode": "enforce", **known}


ALLOWED: Final = Verdict("allow", "", "", "", "")


def load_policy(path: Path) -> Policy:
    """Read a policy file.

    Raises:
        PolicyError: it is not TOML, has a member that is not known, or asks for approvals without saying of whom.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(MAX_POLICY_BYTES + 1)
    if len(data) > MAX_POLICY_BYTES:
        raise PolicyError(f"{path}: larger than {MAX_POLICY_BYTES:,} bytes")
    try:
        policy = msgspec.convert(tomllib.loads(data.decode()), Policy)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise PolicyError(f"{path}: {error}") from None
    _check(policy, path)
    return policy


def _check(policy: Policy, path: Path) -> None:
    if policy.require_approval and policy.approval is None:
        raise PolicyError(f"{path}: require_approval needs [approval] with the url to ask")
    if policy.approval is None:
        return
    try:
        parts = urlsplit(policy.approval.url)
    except ValueError as error:
        raise PolicyError(f"{path}: approval.url: {error}") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
        raise PolicyError(f"{path}: approval.url: http:// or https://, a host, and no user in it")
    if not 0 < policy.approval.timeout_s <= MAX_TIMEOUT_S:
        raise PolicyError(f"{path}: approval.timeout_s: 1 to {MAX_TIMEOUT_S} seconds")


def _matches(rule: Rule, call: Asked) -> bool:
    return (
        _any(rule.methods, call.method)
        and _any(rule.servers, call.server)
        and _any(rule.tools, call.name)
        and all(_found(call.arguments, path, globs) for path, globs in rule.arguments.items())
    )


def _any(globs: Sequence[str], text: str) -> bool:
    """Whether a glob matches what a server may take the text for: letters of any case and compatible forms alike, and the same without
    spaces and what cannot be seen, up to a NUL.
    """
    return any(fnmatch.fnmatchcase(form(text), form(glob)) for form in (folded_form, plain) for glob in globs)


def _found(arguments: Mapping[str, Any], path: str, globs: str | Globs) -> bool:
    wanted = [globs] if isinstance(globs, str) else globs
    return any(_any(wanted, text) for text in _texts(arguments, path.split(".")))


def _texts(value: Any, path: Sequence[str]) -> list[str]:
    """The texts at a path. Lists on the way are looked into, all of them; keys match in any case."""
    if isinstance(value, list):
        return [text for item in value for text in _texts(item, path)]
    if not path:
        return [value if isinstance(value, str) else json.dumps(value)]
    if not isinstance(value, Mapping):
        return []
    inside = [member for key, member in value.items() if folded_form(key) == folded_form(path[0])]
    return [text for member in inside for text in _texts(member, path[1:])]
