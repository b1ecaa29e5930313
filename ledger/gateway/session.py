"""Which answer belongs to which request, between one client and one server."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from ledger.gateway.call import Call
from ledger.gateway.message import INVALID_REQUEST, Id, Message, Refused, is_id, shown

MAX_WAITING: Final = 4_096
MAX_WITHDRAWN: Final = 256


@dataclass(slots=True)
class Waiting:
    """A request without an answer yet.

    Attributes:
        method: of the request.
        call: what is recorded of it; None for what only arranges the session.
        held: the task that still holds it back, None once the server has it.
    """

    method: str
    call: Call | None = None
    held: asyncio.Task[Any] | None = None


@dataclass(slots=True)
class Session:
    """One client at one server.

    Attributes:
        agent: what `clientInfo` said of the client.
        version: the protocol version, empty until it is known.
        thumbprint: of the HTTP session's id, which itself is a credential; empty on stdio.
    """

    agent: dict[str, Any] = field(default_factory=dict)
    version: str = ""
    thumbprint: str = ""
    _waiting: dict[str, Waiting] = field(default_factory=dict)
    _withdrawn: OrderedDict[str, Waiting] = field(default_factory=OrderedDict)

    def claim(self, messages: tuple[Message, ...]) -> None:
        """Take the ids of requests that are about to be passed on.

        An id that is in use is refused: the answer to one request would be recorded for another. `1` and `"1"` are one id, because
        some servers keep them as one.

        Raises:
            Refused: nothing was taken.
        """
        requests = [message for message in messages if message.method is not None and message.id is not None]
        for message in requests:
            if str(message.id) in self._waiting or str(message.id) in self._withdrawn:
                detail = f"the id {shown(str(message.id))} is that of a request without an answer"
                raise Refused(INVALID_REQUEST, detail)
        if len(self._waiting) + len(requests) > MAX_WAITING:
            ids = tuple(message.id for message in requests if message.id is not None)
            raise Refused(INVALID_REQUEST, f"more than {MAX_WAITING:,} requests without an answer", ids)
        for message in requests:
            self._waiting[str(message.id)] = Waiting(message.method or "")

    def waiting(self, identifier: object) -> Waiting | None:
        """The request with this id, while it has no answer."""
        return self._waiting.get(str(identifier)) if is_id(identifier) else None

    def settle(self, identifier: Id) -> Waiting | None:
        """The request that an answer is to; from now on its id is free."""
        return self._waiting.pop(str(identifier), None)

    def withdraw(self, identifier: Id) -> None:
        """The client cancelled: it waits no longer. The server may answer all the same."""
        waiting = self.settle(identifier)
        if waiting is not None:
            self._withdrawn[str(identifier)] = waiting
            while len(self._withdrawn) > MAX_WITHDRAWN:
                self._withdrawn.popitem(last=False)

    def withdrawn(self, identifier: Id) -> Waiting | None:
        """The cancelled request that an answer is to."""
        return self._withdrawn.pop(str(identifier), None)

    def release(self, messages: tuple[Message, ...]) -> None:
        """Free the ids of requests that were not passed on."""
        for message in messages:
            if message.method is not None and message.id is not None:
                self._waiting.pop(str(message.id), None)

    def abandon(self, error_type: str) -> None:
        """No further answer will come: what came of the calls is not known."""
        for waiting in self._drained():
            if waiting.call is not None:
                waiting.call.end("unknown", error_type)

    def _drained(self) -> Iterator[Waiting]:
        while self._waiting:
            yield self._waiting.popitem()[1]
