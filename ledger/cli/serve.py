"""`agent-ledger serve`."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from ledger.cli import terminal
from ledger.cli.exits import CommandError
from ledger.cli.folder import ensure_cli_token, token_store
from ledger.cli.init import Origin, default_origin
from ledger.cli.target import (
    CLI_TOKEN,
    DEFAULT_HOST,
    DEFAULT_PORT,
    SERVING,
    Data,
    HeadAnchor,
    data_folder,
    serving_url,
)
from ledger.log.files import write_durably
from ledger.log.log import DATABASE, Log

MIB = 1024 * 1024

Host = Annotated[str, typer.Option("--host", help="Address to listen on.")]
Port = Annotated[
    int, typer.Option("--port", min=0, max=65_535, help="Port to listen on; 0 takes a free one.")
]
RequireFacets = Annotated[
    bool, typer.Option("--require-facets", help="Refuse actions with a facet missing and not explained.")
]
AcceptMissingAnchor = Annotated[
    bool, typer.Option("--accept-missing-anchor", help="Start although the head anchor is gone, once.")
]
QueueMib = Annotated[
    int, typer.Option("--queue-mib", min=1, help="MiB of records that may wait before 429 is the answer.")
]
AccessLog = Annotated[bool, typer.Option("--access-log", help="One line per request, on stderr.")]
Otlp = Annotated[
    str | None,
    typer.Option(
        "--otlp-endpoint",
        envvar="AGENT_LEDGER_OTLP_ENDPOINT",
        help="Send the ledger's own traces and metrics to this OTLP/HTTP collector.",
    ),
]


def serve(
    *,
    data: Data = None,
    host: Host = DEFAULT_HOST,
    port: Port = DEFAULT_PORT,
    origin: Origin = None,
    head_anchor: HeadAnchor = None,
    require_facets: RequireFacets = False,
    accept_missing_anchor: AcceptMissingAnchor = False,
    queue_mib: QueueMib = 64,
    access_log: AccessLog = False,
    otlp_endpoint: Otlp = None,
) -> None:
    """Serve a log over HTTP. Where the data folder holds none, one is made, with a token for this machine's commands."""
    # Imported here: reading the help needs no web framework.
    from ledger.api.front import application  # noqa: PLC0415
    from ledger.api.service import Service  # noqa: PLC0415
    from ledger.api.serving import bound, run  # noqa: PLC0415
    from ledger.forensics.catalog import load_queries  # noqa: PLC0415
    from ledger.forensics.service import QueryService  # noqa: PLC0415
    from ledger.telemetry import Telemetry, configure_logging  # noqa: PLC0415

    folder = data_folder(data)
    configure_logging()
    try:
        at = bound(host, port)  # what can be refused is refused before anything is made
    except OSError as error:
        raise CommandError(_cannot_listen(folder, f"{host}:{port}", error)) from None
    telemetry = Telemetry(endpoint=otlp_endpoint)
    if not (folder / DATABASE).exists():
        Log.create(folder, origin or default_origin(), anchor=head_anchor)
        terminal.say(f"made a new log in {folder}")
    log = Log.open(
        folder,
        origin=origin,
        anchor=head_anchor,
        accept_missing_anchor=accept_missing_anchor,
        queue_bytes=queue_mib * MIB,
        observer=telemetry,
    )
    telemetry.observe(log)
    try:
        ensure_cli_token(folder)
        service = Service(
            log=log,
            tokens=token_store(folder),
            queries=QueryService(log),
            catalog=load_queries(),
            telemetry=telemetry,
            require_facets=require_facets,
        )
        app = application(service)

        def started(url: str) -> None:
            write_durably(folder / SERVING, json.dumps({"url": url, "pid": os.getpid()}).encode())
            terminal.say(
                f"serving {log.origin} at size {log.head().size} on {url}; token for commands here: {folder / CLI_TOKEN}"
            )

        run(app, at, access_log=access_log, started=started)
    finally:
        log.close()
        telemetry.close()
        Path(folder / SERVING).unlink(missing_ok=True)
    terminal.say(f"stopped at size {log.head().size}")


def _cannot_listen(folder: Path, where: str, error: OSError) -> str:
    already = serving_url(folder)
    hint = (
        f"{folder} says that it is served at {already}" if already else "name another with --host or --port"
    )
    return f"cannot listen on {where}: {error.strerror}; {hint}"
