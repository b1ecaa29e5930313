"""`agent-ledger token`: who may do what. Each change is an entry of the log, and counts from it on."""

import re
import time
from typing import Annotated, Any

import typer

from ledger.cli import terminal
from ledger.cli.access import access
from ledger.cli.exits import CommandError
from ledger.cli.target import Data, HeadAnchor, Json, TokenFile, Url
from ledger.core.entry import format_time
from ledger.trust.local import digest, new_secret
from ledger.trust.quota import BURST_S
from ledger.trust.roles import Role

token = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

MAX_DURATION_S = 100 * 366 * 86_400
_DURATION = re.compile(r"(\d{1,6})([smhdw])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}

Name = Annotated[str, typer.Argument(help="Whose it is: a-z, 0-9 and -; entries name it as their submitter.")]
Roles = Annotated[
    list[Role], typer.Option("--role", "-r", help="What it may do; may be given more than once.")
]
Expires = Annotated[
    str | None,
    typer.Option("--expires", help="After how long it ends by itself: 90d, 12h.", metavar="TIME"),
]
Agents = Annotated[
    list[str] | None,
    typer.Option(
        "--agent",
        help="An agent it may speak for, by id or name; a * at its end stands for any ending. May be given more than once.",
    ),
]
Sources = Annotated[list[str] | None, typer.Option("--source", help="A source it may speak for, likewise.")]
Tenants = Annotated[list[str] | None, typer.Option("--tenant", help="A tenant it may speak for, likewise.")]
FlagOutside = Annotated[
    bool,
    typer.Option(
        "--flag-outside",
        help="Record what speaks for somebody else, with an entry that says so, and do not refuse it.",
    ),
]
RecordsPerS = Annotated[
    int | None,
    typer.Option(
        "--records-per-s",
        min=1,
        help=f"How many records it may append per second; {BURST_S} seconds' worth at once.",
    ),
]
BytesPerS = Annotated[
    int | None,
    typer.Option(
        "--bytes-per-s", min=1, help="How many bytes of records it may append per second, likewise."
    ),
]


@token.callback()
def _about() -> None:
    """Grant, list, rotate and revoke credentials, at the running server or on the data folder."""


@token.command()
def create(
    name: Name,
    *,
    role: Roles,
    expires: Expires = None,
    agent: Agents = None,
    source: Sources = None,
    tenant: Tenants = None,
    flag_outside: FlagOutside = False,
    records_per_s: RecordsPerS = None,
    bytes_per_s: BytesPerS = None,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
    head_anchor: HeadAnchor = None,
    as_json: Json = False,
) -> None:
    """Make a token and print it: it is shown this once, and stored as a hash."""
    secret = new_secret()
    body = {
        "name": name,
        "roles": [each.value for each in role],
        "credential": _bearer(secret),
        **_terms(expires, _given(agents=agent, sources=source, tenants=tenant), flag_outside),
        **_given(quota=_given(records_per_s=records_per_s, bytes_per_s=bytes_per_s) or None),
    }
    with access(data, url, token_file, head_anchor) as granted:
        shown = granted.grant(body)
    _print_secret(secret, shown, as_json=as_json)


@token.command()
def admit(
    name: Name,
    *,
    role: Roles,
    expires: Expires = None,
    agent: Agents = None,
    source: Sources = None,
    tenant: Tenants = None,
    flag_outside: FlagOutside = False,
    records_per_s: RecordsPerS = None,
    bytes_per_s: BytesPerS = None,
    issuer: Annotated[
        str | None, typer.Option(help="Whose access tokens: their `iss`, which `serve --oidc` must know.")
    ] = None,
    audience: Annotated[str | None, typer.Option(help="What their `aud` is or holds.")] = None,
    claim: Annotated[
        list[str] | None,
        typer.Option(
            help="What they must say: sub=agent-7, groups=ledger-analysts. May be given more than once; all must hold.",
            metavar="CLAIM=TEXT",
        ),
    ] = None,
    spiffe: Annotated[
        str | None, typer.Option(help="The SPIFFE ID of a client certificate (`serve --trusted-proxy`).")
    ] = None,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
    head_anchor: HeadAnchor = None,
    as_json: Json = False,
) -> None:
    """Let in whom an issuer's access tokens name, or whom a certificate names. What is said of them stands in the log for good."""
    body = {
        "name": name,
        "roles": [each.value for each in role],
        "credential": _credential(issuer, audience, claim, spiffe),
        **_terms(expires, _given(agents=agent, sources=source, tenants=tenant), flag_outside),
        **_given(quota=_given(records_per_s=records_per_s, bytes_per_s=bytes_per_s) or None),
    }
    with access(data, url, token_file, head_anchor) as granted:
        shown = granted.grant(body)
    if as_json:
        terminal.print_json(shown)
    terminal.say(f"{name} is admitted by entry {shown['seq']}")


@token.command()
def rotate(
    name: Name,
    *,
    overlap: Annotated[
        str,
        typer.Option(help="How long the token before holds beside the new one: 1d, 2h, 0s.", metavar="TIME"),
    ] = "1d",
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
    head_anchor: HeadAnchor = None,
    as_json: Json = False,
) -> None:
    """Make the next token of a name and print it. The one before holds a while longer, so that nobody is locked out."""
    secret = new_secret()
    body = {"credential": _bearer(secret), "overlap_s": _seconds(overlap)}
    with access(data, url, token_file, head_anchor) as granted:
        shown = granted.rotate(name, body)
    _print_secret(secret, shown, as_json=as_json)


@token.command(name="list")
def list_(
    *,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
    head_anchor: HeadAnchor = None,
    as_json: Json = False,
) -> None:
    """Everyone who is let in, with what that permits."""
    with access(data, url, token_file, head_anchor) as granted:
        held = granted.credentials()
    if terminal.wants_json(as_json):
        terminal.print_json(held)
        return
    terminal.print_table(
        ["name", "kind", "roles", "may speak for", "quota", "granted", "until"],
        [
            (
                each["name"],
                each["credential"]["type"],
                ", ".join(each["roles"]),
                _speaks_for(each),
                _words(each.get("quota", {})) or "-",
                each.get("granted_at", "-"),
                each.get("until", "-"),
            )
            for each in held
        ],
    )


@token.command()
def revoke(
    name: Name,
    *,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
    head_anchor: HeadAnchor = None,
) -> None:
    """Make a credential worthless at once. What it wrote stays in the log under its name."""
    with access(data, url, token_file, head_anchor) as granted:
        granted.revoke(name)
    terminal.say(f"the credential {name} is revoked")


def _print_secret(secret: str, shown: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        terminal.print_json({**shown, "token": secret})
    else:
        terminal.out.print(secret, soft_wrap=True)
    terminal.say(
        "it is not shown again: put it into a file that only its user can read, and name that with --token-file"
    )


def _terms(expires: str | None, may: dict[str, Any], flag_outside: bool) -> dict[str, Any]:
    return _given(
        expires_at=None if expires is None else _after(expires),
        may=may or None,
        outside="flag" if flag_outside else None,
    )


def _credential(
    issuer: str | None, audience: str | None, claims: list[str] | None, spiffe: str | None
) -> dict[str, Any]:
    if spiffe is not None and (issuer, audience, claims) == (None, None, None):
        return {"type": "spiffe", "id": spiffe}
    if spiffe is None and issuer and audience and claims:
        said = [claim.partition("=") for claim in claims]
        if all(name and text for name, _, text in said):
            wanted = {name: text for name, _, text in said}
            return {"type": "jwt", "issuer": issuer, "audience": audience, "claims": wanted}
    raise CommandError("say who: --issuer, --audience and --claim NAME=TEXT, or --spiffe")


def _bearer(secret: str) -> dict[str, str]:
    return {"type": "bearer", "sha256": digest(secret).hex()}


def _given(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _after(duration: str) -> str:
    return format_time(time.time_ns() // 1_000 + _seconds(duration) * 1_000_000)


def _seconds(duration: str) -> int:
    match = _DURATION.fullmatch(duration)
    if match is None:
        raise CommandError(f"{duration!r} is no time: a number and one of s, m, h, d, w, like 90d")
    seconds = int(match[1]) * _SECONDS[match[2]]
    if seconds > MAX_DURATION_S:
        raise CommandError(f"{duration!r} is longer than a hundred years")
    return seconds


def _speaks_for(shown: dict[str, Any]) -> str:
    may = shown.get("may")
    if may is None:
        return "anybody"
    said = "; ".join(f"{kind}: {', '.join(patterns) or 'none'}" for kind, patterns in may.items())
    return said + (" (others are flagged)" if shown.get("outside") == "flag" else "")


def _words(quota: dict[str, int]) -> str:
    units = {"records_per_s": "records/s", "bytes_per_s": "bytes/s"}
    return ", ".join(f"{quota[name]} {unit}" for name, unit in units.items() if name in quota)
