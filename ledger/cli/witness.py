"""`agent-ledger witness`: cosign other logs' checkpoints; `ledger.cli.peers`: agree with another owner to do so for each other."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from ledger.cli import terminal
from ledger.cli.exits import CommandError
from ledger.cli.peers import accept, follow, invite, peers, revoke
from ledger.cli.receipt import verifier_key
from ledger.cli.target import Json, WitnessFolder, witness_folder
from ledger.cli.tls import TlsCertificate, TlsKey, read_tls
from ledger.core.note import VerifierKey, fingerprint, format_vkey
from ledger.storage.files import OTHERS
from ledger.storage.lock import DataLock
from ledger.witness.cosigning import KEY, Cosigning
from ledger.witness.keyfile import create_witness_key

DEFAULT_PORT = 8732

witness = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@witness.callback()
def _about() -> None:
    """Be a witness of other logs, as c2sp.org/tlog-witness says.

    A witness keeps the newest checkpoint it cosigned of each log, and cosigns only what extends it. Run it where whoever runs the log
    cannot write. Never put an older copy of its folder in place.
    """


@witness.command()
def init(
    name: Annotated[
        str, typer.Option("--name", help="The witness's name, like a URL without scheme: witness.example/w1.")
    ],
    *,
    folder: WitnessFolder = None,
    as_json: Json = False,
) -> None:
    """Make a witness: its folder and its key."""
    place = witness_folder(folder)
    place.mkdir(mode=0o777 & ~OTHERS, parents=True, exist_ok=True)
    create_witness_key(place / KEY, name)
    _print_key(Cosigning(place), as_json)


@witness.command()
def show(*, folder: WitnessFolder = None, as_json: Json = False) -> None:
    """The witness's verifier key, for whoever pins it."""
    _print_key(Cosigning(witness_folder(folder)), as_json)


@witness.command()
def add(
    vkey: Annotated[str, typer.Argument(help="The log's verifier key: its text, or a file with it.")],
    *,
    folder: WitnessFolder = None,
) -> None:
    """Witness a log, or take in another key of it. Works beside a running witness."""
    key = verifier_key(vkey)
    Cosigning(witness_folder(folder)).watch(key)
    terminal.say(f"{key.name} is witnessed; its key's fingerprint: {fingerprint(key)}")


@witness.command()
def remove(
    log: Annotated[str, typer.Argument(metavar="ORIGIN|VKEY", help="A log's origin, or one of its keys.")],
    *,
    folder: WitnessFolder = None,
) -> None:
    """Cosign nothing more of a log, or nothing more that this key signed. What was seen of it is kept."""
    key: VerifierKey | None = None
    if "+" in log:
        key = verifier_key(log)
    Cosigning(witness_folder(folder)).unwatch(key.name if key else log, key)
    terminal.say(f"{log} is not witnessed any more")


@witness.command(name="list")
def list_(*, folder: WitnessFolder = None, as_json: Json = False) -> None:
    """The logs, each with the size of the newest checkpoint that was cosigned."""
    found = list(Cosigning(witness_folder(folder)).logs())
    if terminal.wants_json(as_json):
        terminal.print_json(
            [
                {
                    "origin": log.origin,
                    "size": log.size,
                    "cosigned_at": log.cosigned_at,
                    "keys": [format_vkey(key) for key in log.keys],
                }
                for log in found
            ]
        )
        return
    rows = [
        (
            log.origin,
            log.size,
            datetime.fromtimestamp(log.cosigned_at, UTC).isoformat() if log.cosigned_at else "never",
            "\n".join(map(format_vkey, log.keys)) or "removed",
        )
        for log in found
    ]
    terminal.print_table(["log", "size", "cosigned", "keys"], rows)


@witness.command()
def serve(
    *,
    folder: WitnessFolder = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="Port to listen on; 0 takes a free one.")
    ] = DEFAULT_PORT,
    access_log: Annotated[
        bool, typer.Option("--access-log", help="One line per request, on stderr.")
    ] = False,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
) -> None:
    """Serve the witness over HTTP. It is told no secret, and what it says is signed: TLS is for who wants it."""
    # Imported here: reading the help needs no web framework.
    from ledger.api.serving import bound, run  # noqa: PLC0415
    from ledger.api.witness import create_witness  # noqa: PLC0415
    from ledger.telemetry import configure_logging  # noqa: PLC0415

    place = witness_folder(folder)
    cosigning = Cosigning(place)
    configure_logging()
    tls = read_tls(tls_certificate, tls_key)
    try:
        at = bound(host, port)
    except OSError as error:
        raise CommandError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    lock = DataLock(place)  # two that serve one folder could cosign two histories
    try:

        def started(url: str) -> None:
            terminal.say(f"witness {cosigning.key.name} on {url}; verifier key {format_vkey(cosigning.key)}")

        run(
            create_witness(cosigning),
            at,
            access_log=access_log,
            started=started,
            ending=lambda: None,
            tls=tls,
        )
    finally:
        lock.release()
    terminal.say("stopped")


def _print_key(cosigning: Cosigning, as_json: bool) -> None:
    shown = {
        "name": cosigning.key.name,
        "verifier_key": format_vkey(cosigning.key),
        "fingerprint": fingerprint(cosigning.key),
    }
    terminal.print_facts("of the witness", shown, as_json=as_json)


for command in (invite, accept, revoke, follow, peers):
    witness.command()(command)
