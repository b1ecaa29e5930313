"""Where `token` and `keys` work: at the running server, or, while none runs, on the data folder itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from ledger.cli.exits import CommandError
from ledger.cli.target import connect, data_folder, is_loopback, serving_url
from ledger.client.http import LedgerClient, UnreachableError
from ledger.storage.layout import holds_log


class Access(Protocol):
    """Who may do what in one log. What is refused is raised as the ledger's problem."""

    def credentials(self) -> list[dict[str, Any]]:
        """Those in force, as they are shown."""

    def grant(self, body: dict[str, Any]) -> dict[str, Any]:
        """Grant a credential; the body is that of `POST /v1/access`."""

    def rotate(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Give a name another token; the body is that of `POST /v1/access/{name}/rotate`."""

    def revoke(self, name: str) -> None:
        """Revoke all credentials of a name."""

    def keys(self) -> list[dict[str, Any]]:
        """The agents' keys in force."""

    def grant_key(self, body: dict[str, Any]) -> int:
        """Grant an agent's key; the body is that of `POST /v1/agent-keys`. Returns the entry."""

    def revoke_key(self, key_id: str) -> int:
        """Revoke an agent's key. Returns the entry."""

    def log_keys(self) -> list[dict[str, Any]]:
        """The log's own keys."""

    def next_key(self) -> str:
        """The key that the next rotation puts in force."""

    def rotate_key(self, reason: str) -> dict[str, Any]:
        """Rotate the log's key; what `POST /v1/keys/rotate` answers."""

    def revoke_log_key(self, verifier_key: str, start: int, reason: str) -> dict[str, Any]:
        """Revoke one of the log's keys; what `POST /v1/keys/revoke` answers."""

    def confirm_key(self, seq: int) -> dict[str, Any]:
        """Do what another administrator asked for; what `POST /v1/keys/{seq}/confirm` answers."""


class _AtServer:
    def __init__(self, client: LedgerClient) -> None:
        self._client = client

    def credentials(self) -> list[dict[str, Any]]:
        return list(self._client.ask("GET", "/v1/access")["credentials"])

    def grant(self, body: dict[str, Any]) -> dict[str, Any]:
        return self._client.ask("POST", "/v1/access", body)

    def rotate(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._client.ask("POST", f"/v1/access/{quote(name, safe='')}/rotate", body)

    def revoke(self, name: str) -> None:
        self._client.ask("DELETE", f"/v1/access/{quote(name, safe='')}")

    def keys(self) -> list[dict[str, Any]]:
        return list(self._client.ask("GET", "/v1/agent-keys")["keys"])

    def grant_key(self, body: dict[str, Any]) -> int:
        return int(self._client.ask("POST", "/v1/agent-keys", body)["seq"])

    def revoke_key(self, key_id: str) -> int:
        return int(self._client.ask("DELETE", f"/v1/agent-keys/{quote(key_id, safe='')}")["seq"])

    def log_keys(self) -> list[dict[str, Any]]:
        return list(self._client.ask("GET", "/v1/keys")["keys"])

    def next_key(self) -> str:
        return str(self._client.ask("POST", "/v1/keys/next", {})["verifier_key"])

    def rotate_key(self, reason: str) -> dict[str, Any]:
        return self._client.ask("POST", "/v1/keys/rotate", {"reason": reason})

    def revoke_log_key(self, verifier_key: str, start: int, reason: str) -> dict[str, Any]:
        body = {"verifier_key": verifier_key, "from": start, "reason": reason}
        return self._client.ask("POST", "/v1/keys/revoke", body)

    def confirm_key(self, seq: int) -> dict[str, Any]:
        return self._client.ask("POST", f"/v1/keys/{seq}/confirm", {})


@contextmanager
def access(
    data: Path | None, url: str | None, token_file: Path | None, head_anchor: Path | None
) -> Iterator[Access]:
    """The access of the ledger that the options name.

    Where a server answers, it is asked; where none does, the log in the data folder is opened, unless the address is of another machine.

    Raises:
        CommandError: there is neither a server nor a folder.
        LedgerError: the log cannot be opened.
    """
    folder = data_folder(data)
    address = url or serving_url(folder)
    if address is not None:
        with connect(data, url, token_file) as client:
            if _answers(client, address):
                yield _AtServer(client)
                return
    if not holds_log(folder):
        raise CommandError(f"there is no log in {folder}; `agent-ledger init` makes one")
    # Imported here: at a server elsewhere no database is needed.
    from ledger.cli.on_folder import on_folder  # noqa: PLC0415

    with on_folder(folder, head_anchor) as granted:
        yield granted


def _answers(client: LedgerClient, address: str) -> bool:
    try:
        client.ask("GET", "/healthz")
    except UnreachableError:
        if is_loopback(address):
            return False
        raise
    return True
