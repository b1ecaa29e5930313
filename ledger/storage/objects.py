"""Sealed segments in an object store that speaks S3: put once, never replaced, read back by digest.

    s3://<bucket>/<prefix>/<SHA-256 of the origin, hex>/segments/<start:016d>/<file>

`If-None-Match: *` makes a put refuse a name that is taken; a new generation of a file has a new name. Credentials are the
environment's, as the AWS client finds them: none is taken as an option, stored or logged.
"""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import BufferedReader
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ledger.core.errors import Code, LedgerError
from ledger.core.text import format_base64, parse_base64
from ledger.storage.places import Kept, Settings

PUT_BYTES: Final = (
    5 * 1024**3
)  # what S3 takes in one PutObject: only such a put can be conditional and locked at once
READ_BYTES: Final = 1024 * 1024
CONNECT_S: Final = 5
READ_S: Final = 60
ATTEMPTS: Final = 3
_TAKEN: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
_ABSENT: Final = frozenset({"NoSuchKey", "404", "NotFound"})
_KEPT: Final = frozenset({"AccessDenied", "InvalidRequest"})

logging.getLogger("botocore").setLevel(logging.WARNING)  # below, it logs the headers that it signs


class ObjectStore:
    """The objects of one log. Safe to use from any thread."""

    def __init__(self, settings: Settings, origin: str) -> None:
        """Nothing is sent before the first call."""
        self.settings = settings
        log = hashlib.sha256(origin.encode()).hexdigest()
        self._root = "/".join(part for part in (settings.prefix, log) if part)
        self._client: Any = boto3.session.Session().client(
            "s3",
            endpoint_url=settings.endpoint,
            region_name=settings.region,
            config=Config(
                connect_timeout=CONNECT_S,
                read_timeout=READ_S,
                retries={"max_attempts": ATTEMPTS, "mode": "standard"},
                s3={"addressing_style": "path" if settings.endpoint else "auto"},
            ),
        )

    def key(self, start: int, name: str) -> str:
        """Where a file of the segment that begins at `start` stands."""
        return f"{self._root}/segments/{start:016d}/{name}"

    def put(self, key: str, path: Path, size: int, sha256: str) -> bool:
        """Upload a file; the store checks the digest, and refuses where something stands there already.

        Args:
            key: where.
            path: the file.
            size: how many bytes it must have.
            sha256: its digest, hex.

        Returns:
            Whether it was not there before.

        Raises:
            LedgerError: `object-differs` (something else stands there, or arrived), `objects-unavailable`, `storage-failed` (the file cannot be
                read, or is too large for one put).
        """
        if size > PUT_BYTES:
            raise LedgerError(
                Code.STORAGE_FAILED, f"{path.name} has {size} bytes: one put takes at most {PUT_BYTES}"
            )
        checksum = format_base64(bytes.fromhex(sha256))
        try:
            with path.open("rb") as body, self._asking("PutObject", key):
                _refuse_other(path, body, sha256)
                body.seek(0)
                answer = self._client.put_object(
                    Bucket=self.settings.bucket,
                    Key=key,
                    Body=body,
                    IfNoneMatch="*",
                    ChecksumAlgorithm="SHA256",
                    ChecksumSHA256=checksum,
                    **self._lock(),
                )
        except _TakenError:
            self._compare(key, size, sha256)
            return False
        except OSError as error:
            raise LedgerError(Code.STORAGE_FAILED, f"{path} cannot be read: {error}") from error
        if answer.get("ChecksumSHA256") != checksum:
            self._compare(key, size, sha256)  # it did not say what it took: see what it has
        return True

    def digest(self, key: str) -> tuple[int, str] | None:
        """Length and SHA-256 (hex) of what stands there; None where nothing does.

        As the store says, where it keeps such checksums; or else it is read.

        Raises:
            LedgerError: `objects-unavailable`.
        """
        try:
            with self._asking("HeadObject", key):
                answer = self._client.head_object(
                    Bucket=self.settings.bucket, Key=key, ChecksumMode="ENABLED"
                )
        except _AbsentError:
            return None
        told = answer.get("ChecksumSHA256")
        if told is not None and answer.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT":
            return int(answer["ContentLength"]), parse_base64(told).hex()
        hashed, size = hashlib.sha256(), 0
        for piece in self._pieces(key):
            hashed.update(piece)
            size += len(piece)
        return size, hashed.hexdigest()

    def get(self, key: str, into: Path, size: int, sha256: str) -> None:
        """Download to the file `into`, which is made; nothing that is not what it must be is left there.

        Raises:
            LedgerError: `object-differs`, `objects-unavailable` (also where nothing stands there).
            OSError: the file cannot be written.
        """
        hashed, received = hashlib.sha256(), 0
        try:
            with into.open("xb") as file:
                for piece in self._pieces(key):
                    received += len(piece)
                    if received > size:  # whatever comes, no more than this is taken
                        break
                    hashed.update(piece)
                    file.write(piece)
        except BaseException:
            into.unlink(missing_ok=True)
            raise
        if (received, hashed.hexdigest()) != (size, sha256):
            into.unlink()
            raise _differs(f"s3://{self.settings.bucket}/{key}", size, sha256)

    def read(self, key: str, limit: int) -> bytes:
        """A small object, whole; of a larger one no more than `limit` bytes and some.

        Raises:
            LedgerError: `objects-unavailable` (also where nothing stands there).
        """
        data = b""
        for piece in self._pieces(key):
            data += piece
            if len(data) > limit:
                break
        return data

    def listed(self) -> dict[str, int]:
        """Every object of this log: key → bytes.

        Raises:
            LedgerError: `objects-unavailable`.
        """
        found: dict[str, int] = {}
        with self._asking("ListObjectsV2", self._root):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.settings.bucket, Prefix=f"{self._root}/segments/"):
                found.update((each["Key"], int(each["Size"])) for each in page.get("Contents", ()))
        return found

    def delete(self, key: str) -> Kept | None:
        """Delete every version of an object, so that nothing of it is left: a delete marker alone would hide it.

        Returns:
            None where it is gone; or what the store keeps.

        Raises:
            LedgerError: `objects-unavailable`.
        """
        for version in self._versions(key):
            try:
                with self._asking("DeleteObject", key):
                    self._client.delete_object(Bucket=self.settings.bucket, Key=key, VersionId=version)
            except _KeptError:
                return Kept(key, self._locked_until(key, version))
        return None

    def _versions(self, key: str) -> list[str]:
        versions: list[str] = []
        with self._asking("ListObjectVersions", key):
            pages = self._client.get_paginator("list_object_versions")
            for page in pages.paginate(Bucket=self.settings.bucket, Prefix=key):
                every = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
                versions += [each["VersionId"] for each in every if each["Key"] == key]
        return versions

    def _locked_until(self, key: str, version: str) -> str | None:
        try:
            with self._asking("HeadObject", key):
                answer = self._client.head_object(Bucket=self.settings.bucket, Key=key, VersionId=version)
        except LedgerError:
            return None
        until = answer.get("ObjectLockRetainUntilDate")
        return until.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if until is not None else None

    def _pieces(self, key: str) -> Iterator[bytes]:
        try:
            with self._asking("GetObject", key):
                answer = self._client.get_object(Bucket=self.settings.bucket, Key=key)
                yield from answer["Body"].iter_chunks(READ_BYTES)
        except _AbsentError:
            raise LedgerError(
                Code.OBJECTS_UNAVAILABLE, f"s3://{self.settings.bucket}/{key} is not there; was it deleted?"
            ) from None

    def _compare(self, key: str, size: int, sha256: str) -> None:
        if self.digest(key) != (size, sha256):
            raise _differs(f"s3://{self.settings.bucket}/{key}", size, sha256)

    def _lock(self) -> dict[str, Any]:
        if self.settings.lock_mode is None:
            return {}
        until = datetime.now(UTC) + timedelta(days=self.settings.lock_days)
        return {"ObjectLockMode": self.settings.lock_mode, "ObjectLockRetainUntilDate": until}

    @contextmanager
    def _asking(self, operation: str, key: str) -> Iterator[None]:
        """Whatever the client raises, as what it means. No message of its own is shown: it may repeat what was sent."""
        where = f"s3://{self.settings.bucket}/{key}"
        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "unknown"))
            codes, kind = _MEANINGS.get(operation, (frozenset(), LedgerError))
            kind = kind if code in codes else LedgerError
            raise kind(
                Code.OBJECTS_UNAVAILABLE, f"the object store refused {operation} of {where}: {code}"
            ) from None
        except BotoCoreError as error:
            raise LedgerError(
                Code.OBJECTS_UNAVAILABLE,
                f"the object store at {self.settings.endpoint or 'AWS'} does not answer {operation} of {where} ({type(error).__name__}); "
                "recording goes on",
            ) from None


class _TakenError(LedgerError):
    """Something stands there."""


class _AbsentError(LedgerError):
    """Nothing stands there."""


class _KeptError(LedgerError):
    """It may not be deleted."""


_MEANINGS: Final[dict[str, tuple[frozenset[str], type[LedgerError]]]] = {
    "PutObject": (_TAKEN, _TakenError),
    "HeadObject": (_ABSENT, _AbsentError),
    "GetObject": (_ABSENT, _AbsentError),
    "DeleteObject": (_KEPT, _KeptError),
}


def _refuse_other(path: Path, body: BufferedReader, sha256: str) -> None:
    """A store may check what it gets or only note what it is told: what is sent is checked here, too."""
    if hashlib.file_digest(body, "sha256").hexdigest() != sha256:
        raise LedgerError(
            Code.STORAGE_FAILED, f"{path} is not what its manifest says any more; run `agent-ledger verify`"
        )


def _differs(where: str, size: int, sha256: str) -> LedgerError:
    return LedgerError(
        Code.OBJECT_DIFFERS,
        f"{where} is not the {size} bytes with SHA-256 {sha256} that the manifest names. Nothing was overwritten and nothing of it is read: "
        "find out who put it there",
    )
