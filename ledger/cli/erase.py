"""`agent-ledger erase`: shows what would go, asks, erases, waits until it is off the disk, and keeps the certificate."""

import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from ledger.cli import terminal
from ledger.cli.evidence import saved
from ledger.cli.exits import CommandError, Exit
from ledger.cli.reading import places_and_ids
from ledger.cli.retention import read_select
from ledger.cli.target import Data, Json, TokenFile, Url, connect
from ledger.client.http import LedgerClient

PATH: Final = "/v1/erasure"
LOOK_EVERY_S: Final = 0.5
ANSWER_S: Final = 3600.0
MIB: Final = 2**20
SHOWN: Final = 20


def erase(
    *,
    subject: Annotated[
        str | None,
        typer.Option(
            "--subject",
            help="A person, wherever they are named: their identifier, exactly as it was recorded.",
        ),
    ] = None,
    record: Annotated[
        list[str] | None,
        typer.Option(
            "--record",
            help="A record's id, or an entry's place; may be given more than once.",
            metavar="ID|SEQ",
        ),
    ] = None,
    by_id: Annotated[
        bool, typer.Option("--id", help="What --record gives are ids even where they are numbers.")
    ] = False,
    query: Annotated[
        str | None,
        typer.Option(
            "--query", help="What this SELECT gives in its column `seq`; @file reads it.", metavar="SELECT"
        ),
    ] = None,
    contents: Annotated[
        bool, typer.Option("--contents", help="Contents go (the default, alone for --record and --query).")
    ] = False,
    persons: Annotated[
        bool,
        typer.Option(
            "--persons",
            help="Persons go, from every entry that names them (the default for --subject, with contents).",
        ),
    ] = False,
    member: Annotated[
        list[str] | None,
        typer.Option("--member", help="Of these members alone: tool.arguments, request.user …"),
    ] = None,
    as_of: Annotated[
        int | None, typer.Option("--as-of", min=1, help="Of the first so many entries alone.")
    ] = None,
    confirm: Annotated[
        int | None,
        typer.Option(
            "--confirm",
            min=0,
            help="What another administrator asked for in this entry (serve --four-eyes).",
            metavar="SEQ",
        ),
    ] = None,
    ground: Annotated[
        str, typer.Option("--ground", help="Why it may be erased: stands in the log, so no person's name.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    certificate: Annotated[
        Path | None,
        typer.Option(
            "--certificate",
            "-o",
            help="The zip to write when it is done: the log's own entries that say so, with what proves them.",
        ),
    ] = None,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Erase a person, records, or what a SELECT gives, for good. Every hash, receipt and proof stays as it is.

    Shows what would go, and asks for its number. Then it is read no more, and when this ends its bytes are off the ledger's disk. Backups and spools: docs/erasure.md.
    """
    if confirm is not None:
        if (
            any(each is not None for each in (subject, record, query, member, as_of))
            or contents
            or persons
            or ground
        ):
            raise CommandError("--confirm goes alone: what is erased, and why, was said by who asked for it")
        with connect(data, url, token_file) as client:
            _confirm(client, confirm, certificate, dry_run=dry_run, yes=yes, as_json=as_json)
        return
    choice = _choice(subject, record, query, by_id=by_id)
    choice["take"] = [name for name, taken in (("contents", contents), ("persons", persons)) if taken]
    choice["members"] = member or []
    if as_of is not None:
        choice["as_of"] = as_of
    with connect(data, url, token_file) as client:
        plan = client.ask("POST", PATH, {**choice, "dry_run": True}, timeout_s=ANSWER_S)
        if dry_run and terminal.wants_json(as_json):
            terminal.print_json(plan)
            return
        show(plan)
        if dry_run or not _agreed(plan, ground, yes=yes):
            return
        body = {**choice, "as_of": plan["as_of"], "selection": plan["selection"], "ground": ground}
        answer = client.ask("POST", PATH, body, timeout_s=ANSWER_S)
        if "asked_in" in answer:
            terminal.print_facts("asked for", {"asked_in": answer["asked_in"]}, as_json=as_json)
            terminal.say(
                f"nothing is erased yet: another administrator confirms it with `agent-ledger erase --confirm {answer['asked_in']}`"
            )
            return
        finish(client, answer, certificate, as_json=as_json)


def _confirm(
    client: LedgerClient, seq: int, certificate: Path | None, *, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Show what somebody else asked for, ask, and have it go."""
    path = f"{PATH}/{seq}/confirm"
    plan = client.ask("POST", path, {"dry_run": True}, timeout_s=ANSWER_S)
    if dry_run and terminal.wants_json(as_json):
        terminal.print_json(plan)
        return
    terminal.say(f"asked for by {plan['requested_by']}, on the ground: {plan['ground']}")
    for name, value in plan["chosen_by"].items():
        terminal.say(f"{name}: {value if isinstance(value, str) else _listed(value)}")
    show(plan)
    if not dry_run and _agreed(plan, plan["ground"], yes=yes):
        finish(client, client.ask("POST", path, {}, timeout_s=ANSWER_S), certificate, as_json=as_json)


def _listed(values: list[Any]) -> str:
    more = f" and {len(values) - SHOWN:,} more" if len(values) > SHOWN else ""
    return ", ".join(map(str, values[:SHOWN])) + more


def _choice(
    subject: str | None, record: list[str] | None, query: str | None, *, by_id: bool
) -> dict[str, Any]:
    if sum(each is not None for each in (subject, record, query)) != 1:
        raise CommandError("say what is erased by one of --subject, --record and --query")
    if subject is not None:
        return {"subject": subject}
    if query is not None:
        return {"sql": read_select(query)}
    return places_and_ids(record or [], by_id=by_id)


def show(plan: dict[str, Any]) -> None:
    """What would go, and what is in the way or stays, for people: on stderr, where the question comes."""
    rows = [
        ("contents", plan["contents"]),
        (
            "persons",
            f"{plan['persons']:,}, named in {plan['persons_named_in']:,} entries" if plan["persons"] else 0,
        ),
        ("of entries", plan["entries"]),
        *((f"of type {name}", count) for name, count in sorted(plan["types"].items())),
        *((f"at {name}", count) for name, count in sorted(plan["members"].items())),
        ("recorded", f"{plan['first_at']} to {plan['last_at']}" if plan["first_at"] else None),
        *((f"segment {s['start']} to {s['end'] - 1}", _segment(s)) for s in plan["segments"]),
        ("not sealed yet", f"{plan['hot']:,} entries: sealed first" if plan["hot"] else None),
    ]
    terminal.say_table(
        ["would go", f"of the log at size {plan['as_of']:,}"], [row for row in rows if row[1] is not None]
    )
    for hold in plan["holds"]:
        of = (
            f"{hold['entries']:,} of these entries"
            if hold["entries"]
            else "another entry that names a person among them"
        )
        terminal.say(f"held: {hold['hold']} ({hold['reason']}) keeps {of}", style="bold red")
    stays = plan.get("stays", {})
    if stays.get("facts") != 0 and stays:
        terminal.say(
            f"stays: {_count(stays['facts'])} entries have this identifier in facts, which are signed: only a policy that takes entries takes it"
        )
    if stays.get("contents") != 0 and stays:
        first = ", ".join(map(str, stays["some"]))
        terminal.say(
            f"stays: contents of {_count(stays['contents'])} other entries have it, beginning with {first or 'unknown ones'}: --record, --query"
        )


def _segment(segment: dict[str, Any]) -> str:
    return f"{segment['entries']:,} entries; {segment['bytes'] / MIB:.1f} MiB are made anew"


def _count(count: int | None) -> str:
    return "some" if count is None else f"{count:,}"


def _agreed(plan: dict[str, Any], ground: str, *, yes: bool) -> bool:
    """Whether to go on: whoever is asked types how many would go.

    Raises:
        CommandError: it cannot be done, or nobody can be asked.
    """
    if not plan["places"] and not plan["persons"]:
        terminal.say("there is nothing to erase")
        return False
    if plan["holds"]:
        names = ", ".join(hold["hold"] for hold in plan["holds"])
        raise CommandError(
            f"nothing was erased: under the legal hold {names}; `agent-ledger hold release` ends one"
        )
    if not ground.strip():
        raise CommandError("say why it may be erased: --ground 'request 4711, GDPR Art. 17'")
    if yes:
        return True
    if not sys.stdin.isatty():
        raise CommandError("nobody can be asked here: look at it with --dry-run, then give --yes")
    number = plan["places"] or plan["persons"]
    typed = typer.prompt(
        f"This cannot be undone. Type {number} to erase", default="", show_default=False, err=True
    )
    if typed.strip().replace(",", "") != str(number):
        raise CommandError("nothing was erased: that was another number")
    return True


def finish(client: LedgerClient, answer: dict[str, Any], certificate: Path | None, *, as_json: bool) -> None:
    """Wait until it is off the disk, say so, keep the certificate.

    Raises:
        CommandError: the compaction failed; the ledger tries it again by itself.
    """
    if not answer["told_in"]:
        terminal.say("all of it was gone already")
        return
    first = answer["told_in"][0]
    terminal.say(f"said in {_entries(answer['told_in'])}: nobody reads it any more; taking it off the disk")
    state = _awaited(client, first)
    told = {
        "told_in": answer["told_in"],
        "done_in": state["done_in"],
        "contents": answer["contents"],
        "persons": answer["persons"],
    }
    kept = (state["compaction"]["result"] or {}).get("kept_under_lock", [])
    if certificate is not None:
        body = {
            "seqs": [*answer["told_in"], state["done_in"]],
            "disclose": [],
            "about": f"certificate of the erasure in entry {first}",
        }
        saved(client, body, certificate)
        told["certificate"] = str(certificate)
    terminal.print_facts("erased", told, as_json=as_json)
    for each in kept:
        terminal.say(f"the object store keeps {each['key']} until {each['until'] or 'its lock ends'}")
    terminal.say(
        f"it is off the disk, says entry {state['done_in']}; backups made before, and spools, still have it: docs/erasure.md"
    )


def _awaited(client: LedgerClient, seq: int) -> dict[str, Any]:
    with terminal.progress("") as bar:
        bar.add_task("compacting", total=None)
        while True:
            state = client.ask("GET", f"{PATH}/{seq}")
            if state["done_in"] is not None:
                return state
            compaction = state["compaction"]
            failed = compaction["failed"] or (compaction["result"] or {}).get("objects")
            if failed and not compaction["running"]:
                raise CommandError(
                    f"it is erased, and not off the disk yet: {failed}; the ledger tries again by itself, `agent-ledger compact` at once",
                    Exit.UNREACHABLE,
                )
            time.sleep(LOOK_EVERY_S)


def _entries(seqs: list[int]) -> str:
    return f"entry {seqs[0]}" if len(seqs) == 1 else f"entries {seqs[0]} to {seqs[-1]}"
