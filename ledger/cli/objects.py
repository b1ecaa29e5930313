"""`agent-ledger objects`, and the options of `serve` about an object store."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.cli import terminal
from ledger.cli.target import Data, Json, TokenFile, Url, connect
from ledger.storage.places import parse_location

if TYPE_CHECKING:
    from ledger.storage.objects import ObjectStore
    from ledger.storage.places import Settings
    from ledger.storage.segment import Fetch
    from ledger.upkeep.offload import Offload

MOVE_TIMEOUT_S = 3600.0
MIB = 2**20
CACHE = "cache"
CACHE_MIB = 4096
OBJECTS_VARIABLE = "AGENT_LEDGER_OBJECTS"
ENDPOINT_VARIABLE = "AGENT_LEDGER_OBJECTS_ENDPOINT"

objects = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

Objects = Annotated[
    str | None,
    typer.Option(
        "--objects",
        envvar=OBJECTS_VARIABLE,
        help="Send sealed segments to this object store: s3://bucket/prefix. Credentials are the environment's.",
    ),
]
MovedTo = Annotated[
    str | None,
    typer.Option(
        "--objects",
        envvar=OBJECTS_VARIABLE,
        help="The object store that segments were moved to, as `serve` has it: s3://bucket/prefix. They are fetched.",
    ),
]
SeenIn = Annotated[
    str | None,
    typer.Option(
        "--objects",
        envvar=OBJECTS_VARIABLE,
        help="The object store of the lost server, s3://bucket/prefix: its newest manifest says how far the log was.",
    ),
]
ObjectsEndpoint = Annotated[
    str | None,
    typer.Option("--objects-endpoint", envvar=ENDPOINT_VARIABLE, help="Its URL, where it is not AWS."),
]
ObjectsLock = Annotated[
    str | None,
    typer.Option(
        "--objects-lock",
        envvar="AGENT_LEDGER_OBJECTS_LOCK",
        help="Lock each object for so many days: COMPLIANCE:<days> or GOVERNANCE:<days>.",
    ),
]
ObjectsKeep = Annotated[
    int | None,
    typer.Option(
        "--objects-keep",
        min=1,
        envvar="AGENT_LEDGER_OBJECTS_KEEP",
        help="Keep everything of so many newest segments here (default: of all).",
    ),
]
ObjectsCacheMib = Annotated[
    int, typer.Option("--objects-cache-mib", min=1, help="MiB of fetched files that may stay here.")
]


def offload_of(
    folder: Path, location: str, *, endpoint: str | None, lock: str | None = None, cache_mib: int = CACHE_MIB
) -> "Offload":
    """The object store that the options of `serve` name, for the log in `folder`, with the folder's own cache.

    Raises:
        LedgerError: `invalid-parameter`, `key-file`.
    """
    from ledger.log.keys import load_key  # noqa: PLC0415 - as below
    from ledger.storage.layout import KEY  # noqa: PLC0415

    origin = load_key(folder / KEY).key.name
    settings = parse_location(location, endpoint=endpoint, lock=lock)
    return _offload(settings, origin, folder / CACHE, cache_mib)


@contextmanager
def fetching(
    folder: Path, location: str | None, endpoint: str | None, cache_mib: int = CACHE_MIB
) -> "Iterator[Fetch | None]":
    """What brings moved files to a command that only reads the log in `folder`; None where no object store is named.

    They lie in a temporary folder meanwhile: the data folder's cache is its server's, and evidence is not written to.

    Raises:
        LedgerError: `invalid-parameter`.
    """
    if location is None:
        yield None
        return
    from ledger.audit.fsck import origin_of  # noqa: PLC0415 - a command without an object store needs none of it

    settings = parse_location(location, endpoint=endpoint)
    with TemporaryDirectory(prefix="agent-ledger-") as cache:
        yield _offload(settings, origin_of(folder), Path(cache), cache_mib).fetch


@contextmanager
def fetching_named(folder: Path) -> "Iterator[Fetch | None]":
    """`fetching`, for commands that seldom need it: from the object store that the environment names."""
    named, endpoint = os.environ.get(OBJECTS_VARIABLE), os.environ.get(ENDPOINT_VARIABLE)
    with fetching(folder, named or None, endpoint or None) as fetch:
        yield fetch


def object_store(origin: str, location: str, endpoint: str | None) -> "ObjectStore":
    """The object store of the log of this name, to look at.

    Raises:
        LedgerError: `invalid-parameter`.
    """
    from ledger.storage.objects import ObjectStore  # noqa: PLC0415 - as below

    return ObjectStore(parse_location(location, endpoint=endpoint), origin)


def _offload(settings: "Settings", origin: str, cache: Path, cache_mib: int) -> "Offload":
    # Imported here: boto3 is an extra, and its import takes a while.
    from ledger.storage.cache import Cache  # noqa: PLC0415
    from ledger.storage.objects import ObjectStore  # noqa: PLC0415
    from ledger.upkeep.offload import Offload  # noqa: PLC0415

    store = ObjectStore(settings, origin)
    return Offload(store, Cache(cache, cache_mib * MIB, store.get), origin)


@objects.callback()
def _about() -> None:
    """Segments in the object store that the server was started with (`serve --objects s3://…`)."""


@objects.command()
def status(
    *, data: Data = None, url: Url = None, token_file: TokenFile = None, as_json: Json = False
) -> None:
    """Where each segment is."""
    with connect(data, url, token_file) as client:
        answer = client.ask("GET", "/v1/objects")
    if terminal.wants_json(as_json):
        terminal.print_json(answer)
        return
    rows = [
        (
            f"{s['start']} to {s['end'] - 1}",
            "yes" if s["sent"] else "no",
            _mib(s["here_bytes"]),
            _mib(s["there_bytes"]),
        )
        for s in answer["segments"]
    ]
    terminal.print_table(["segment", "in the store", "MiB here", "MiB there"], rows)
    lock = f", locked {answer['lock']}" if answer["lock"] else ", without a lock"
    terminal.say(
        f"s3://{answer['bucket']}/{answer['prefix']}{lock}; {_mib(answer['cache_bytes'])} MiB of fetched files are here"
    )


@objects.command()
def send(*, data: Data = None, url: Url = None, token_file: TokenFile = None) -> None:
    """Put into the object store what is not there yet. The server does so by itself, within a minute."""
    with connect(data, url, token_file) as client:
        answer = client.ask("POST", "/v1/objects/send", timeout_s=MOVE_TIMEOUT_S)
    terminal.say(f"{len(answer['sent'])} segments were sent")


@objects.command()
def move(
    *,
    keep: Annotated[
        int, typer.Option("--keep", min=1, help="Of how many newest segments everything stays here.")
    ],
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Delete here the large files of older segments, once they are found in the object store; they are fetched when they are read."""
    with connect(data, url, token_file) as client:
        answer = client.ask("POST", "/v1/objects/move", {"keep": keep}, timeout_s=MOVE_TIMEOUT_S)
    terminal.say(f"{len(answer['moved'])} segments were moved")


def _mib(size: int) -> str:
    return f"{size / MIB:.1f}"
