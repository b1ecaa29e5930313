"""`agent-ledger serve`."""

import json
import os
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.cli import terminal
from ledger.cli.exits import CommandError
from ledger.cli.init import Origin, default_origin
from ledger.cli.keyhome import check_key
from ledger.cli.migrate import migrate_first
from ledger.cli.objects import (
    CACHE_MIB,
    Objects,
    ObjectsCacheMib,
    ObjectsEndpoint,
    ObjectsKeep,
    ObjectsLock,
    offload_of,
)
from ledger.cli.oidc import fresh_tokens, read_oidc
from ledger.cli.on_folder import admission_of
from ledger.cli.target import (
    CLI_TOKEN,
    DEFAULT_HOST,
    DEFAULT_PORT,
    SERVING,
    Data,
    HeadAnchor,
    data_folder,
    serving_url,
    witness_folder,
)
from ledger.cli.tls import PlainHttp, TlsCertificate, TlsClientCa, TlsKey, reachable, read_tls, refuse_clear
from ledger.log.log import Log
from ledger.log.store import ROTATE_ENTRIES
from ledger.storage.files import write_durably
from ledger.storage.layout import KEY, QUERIES, holds_log
from ledger.storage.opened import raise_limit
from ledger.trust.spiffe import TrustedProxies

if TYPE_CHECKING:  # reading the help needs neither
    from ledger.witness.settings import Settings as WitnessSettings

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
ScrubMibS = Annotated[
    float,
    typer.Option(
        "--scrub-mib-s",
        min=0,
        help="MiB a second of sealed segments that are verified in the background, round and round; 0 for none.",
    ),
]
RotateEntries = Annotated[
    int,
    typer.Option("--rotate-entries", min=1, help="Entries in a hot file before it is sealed."),
]
OwnQueries = Annotated[
    Path | None,
    typer.Option(
        "--queries", help="A folder with named questions of your own, beside those that come with it."
    ),
]
AlertsFile = Annotated[
    Path | None,
    typer.Option(
        "--alerts",
        envvar="AGENT_LEDGER_ALERTS",
        help="A TOML file of alert rules and targets; `agent-ledger alerts check` reads it as a server does.",
    ),
]
FourEyes = Annotated[
    bool,
    typer.Option(
        "--four-eyes",
        envvar="AGENT_LEDGER_FOUR_EYES",
        help="What one administrator asks to erase, or of the log's keys, is done when another one's token confirms it.",
    ),
]
WitnessPolicy = Annotated[
    Path | None,
    typer.Option(
        "--witness-policy",
        envvar="AGENT_LEDGER_WITNESS_POLICY",
        help="A policy file (c2sp.org/tlog-policy): its witnesses are asked to cosign the log's checkpoints.",
    ),
]
WitnessRequired = Annotated[
    bool,
    typer.Option(
        "--witness-required",
        help="Acknowledge no record before the policy's quorum has cosigned a checkpoint that covers it.",
    ),
]
WitnessPrivate = Annotated[
    bool,
    typer.Option("--witness-private", help="Witnesses may be at private addresses, and without TLS."),
]
WitnessWaitS = Annotated[
    float,
    typer.Option("--witness-wait-s", min=0.1, max=300, help="How long an answer waits for the quorum."),
]
PeersFolder = Annotated[
    Path | None,
    typer.Option(
        "--peers",
        envvar="AGENT_LEDGER_WITNESS",
        help="The folder of your witness, which peers' ledgers hand their keys to (default: ~/.local/share/agent-ledger-witness).",
    ),
]
OidcFile = Annotated[
    Path | None,
    typer.Option(
        "--oidc",
        envvar="AGENT_LEDGER_OIDC",
        help="A TOML file of issuers whose access tokens (JWT) are taken, where the log grants them.",
    ),
]
TrustedProxy = Annotated[
    list[str] | None,
    typer.Option(
        "--trusted-proxy",
        metavar="NETWORK",
        help="A network of proxies whose X-Forwarded-Client-Cert is believed; may be given more than once.",
    ),
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
    scrub_mib_s: ScrubMibS = 4.0,
    rotate_entries: RotateEntries = ROTATE_ENTRIES,
    alerts: AlertsFile = None,
    witness_policy: WitnessPolicy = None,
    witness_required: WitnessRequired = False,
    witness_private: WitnessPrivate = False,
    witness_wait_s: WitnessWaitS = 10.0,
    peers: PeersFolder = None,
    oidc: OidcFile = None,
    trusted_proxy: TrustedProxy = None,
    access_log: AccessLog = False,
    otlp_endpoint: Otlp = None,
    objects: Objects = None,
    objects_endpoint: ObjectsEndpoint = None,
    objects_lock: ObjectsLock = None,
    objects_keep: ObjectsKeep = None,
    objects_cache_mib: ObjectsCacheMib = CACHE_MIB,
    queries: OwnQueries = None,
    four_eyes: FourEyes = False,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    tls_client_ca: TlsClientCa = None,
    plain_http: PlainHttp = False,
) -> None:
    """Serve a log over HTTP. Where the data folder holds none, one is made, with a token for this machine's commands."""
    # Imported here: reading the help needs no web framework.
    from ledger.alerts.service import Alerts  # noqa: PLC0415
    from ledger.api.alerts import read_checked  # noqa: PLC0415
    from ledger.api.front import application  # noqa: PLC0415
    from ledger.api.service import Service  # noqa: PLC0415
    from ledger.api.serving import run  # noqa: PLC0415
    from ledger.audit.scrub import Scrub  # noqa: PLC0415
    from ledger.forensics.catalog import load_queries  # noqa: PLC0415
    from ledger.forensics.service import QueryService  # noqa: PLC0415
    from ledger.telemetry import Telemetry, configure_logging  # noqa: PLC0415
    from ledger.witness.following import Following  # noqa: PLC0415
    from ledger.witness.rounds import Witnesses  # noqa: PLC0415

    folder = data_folder(data)
    catalog = load_queries(queries)
    configure_logging()
    raise_limit()
    tls = read_tls(
        tls_certificate, tls_key, tls_client_ca
    )  # what can be refused is refused before anything is made
    at = _bound(folder, host, port, in_clear=tls is None and not plain_http and not trusted_proxy)
    settings = read_checked(alerts, catalog) if alerts is not None else None
    asking = _asking(
        witness_policy, allow_private=witness_private, required=witness_required, wait_s=witness_wait_s
    )
    issuers, sign_ins = read_oidc(oidc)
    proxies = TrustedProxies(trusted_proxy) if trusted_proxy else None
    telemetry = Telemetry(endpoint=otlp_endpoint)
    _make_ready(folder, origin, head_anchor)
    offload = (
        offload_of(folder, objects, endpoint=objects_endpoint, lock=objects_lock, cache_mib=objects_cache_mib)
        if objects
        else None
    )
    log = Log.open(
        folder,
        origin=origin,
        anchor=head_anchor,
        accept_missing_anchor=accept_missing_anchor,
        queue_bytes=queue_mib * MIB,
        rotate_entries=rotate_entries,
        observer=telemetry,
        fetch=offload.fetch if offload else None,
    )
    telemetry.observe(log)
    scrub = Scrub(folder, log.vkey, scrub_mib_s, moved=offload is not None)
    telemetry.observe_scrub(scrub)
    stack = ExitStack()
    try:
        check_key(
            folder / KEY
        )  # once the log has said which key is in force: a crash within a rotation leaves two
        rules = Alerts(settings, log, folder) if settings is not None else None
        telemetry.observe_alerts(rules)
        witnesses = Witnesses(log, asking, folder) if asking is not None and asking.asked else None
        telemetry.observe_witnesses(witnesses)
        service = Service(
            log=log,
            admission=admission_of(
                folder, log, tokens=stack.enter_context(fresh_tokens(issuers)), proxies=proxies
            ),
            queries=QueryService(log, tables=folder / QUERIES),
            catalog=catalog,
            telemetry=telemetry,
            require_facets=require_facets,
            scrub=scrub,
            alerts=rules,
            offload=offload,
            objects_keep=objects_keep,
            four_eyes=four_eyes,
            witnesses=witnesses,
            sign_ins=sign_ins,
        )

        def started(url: str) -> None:
            _tell_commands(folder, url, tls_certificate)
            terminal.say(
                f"serving {log.origin} at size {log.head().size} on {url}; token for commands here: {folder / CLI_TOKEN}"
            )

        stack.enter_context(Following(log, witness_folder(peers)))
        run(
            application(service),
            at,
            access_log=access_log,
            started=started,
            ending=service.streams.end,
            tls=tls,
        )
    finally:
        stack.close()
        scrub.close()
        log.close()
        telemetry.close()
        Path(folder / SERVING).unlink(missing_ok=True)
    terminal.say(f"stopped at size {log.head().size}")


def _make_ready(folder: Path, origin: str | None, head_anchor: Path | None) -> None:
    migrate_first(folder, head_anchor)
    if not holds_log(folder):
        Log.create(folder, origin or default_origin(), anchor=head_anchor)
        terminal.say(f"made a new log in {folder}")


def _asking(
    policy: Path | None, *, allow_private: bool, required: bool, wait_s: float
) -> "WitnessSettings | None":
    """Which witnesses are asked, None where nobody is.

    Raises:
        CommandError: they are required, and nobody says who they are.
        LedgerError: the policy is no good.
    """
    from ledger.witness.settings import read_settings  # noqa: PLC0415

    if policy is not None:
        return read_settings(policy, allow_private=allow_private, required=required, wait_s=wait_s)
    if required:
        raise CommandError("--witness-required needs --witness-policy: it says who must cosign")
    return None


def _tell_commands(folder: Path, url: str, certificate: Path | None) -> None:
    """Leave the address where commands on this machine look for it. They can be told it: no reason to serve nobody."""
    told: dict[str, Any] = {"url": reachable(url), "pid": os.getpid()}
    if certificate is not None:
        told["certificate"] = str(certificate.absolute())
    try:
        write_durably(folder / SERVING, json.dumps(told).encode())
    except OSError as error:
        terminal.say(
            f"{folder / SERVING} cannot be written ({error.strerror}): commands here need --url {url}"
        )


def _bound(folder: Path, host: str, port: int, *, in_clear: bool) -> socket.socket:
    from ledger.api.serving import bound  # noqa: PLC0415 - as above

    try:
        at = bound(host, port)
    except OSError as error:
        raise CommandError(_cannot_listen(folder, f"{host}:{port}", error)) from None
    if in_clear:
        refuse_clear(at)
    return at


def _cannot_listen(folder: Path, where: str, error: OSError) -> str:
    already = serving_url(folder)
    hint = (
        f"{folder} says that it is served at {already}" if already else "name another with --host or --port"
    )
    return f"cannot listen on {where}: {error.strerror}; {hint}"
