"""The storm's model: to "Read <call>" it calls read_file with that, and then it is done. It prints its URL."""

import json
import re
import threading

from tests.frameworks.model_server import ModelServer
from tests.frameworks.openai_wire import Answer, ToolCall

ASKED = re.compile(r"Read (\S+)")


class Reader(ModelServer):
    """Its script is the request. No two answers and no two calls have the same id."""

    made = 0

    def answer(self, body, messages, prefix):
        with self._lock:
            self.made += 1
            number = self.made
        at = max(index for index, message in enumerate(messages) if message.role == "user")
        asked = ASKED.search(messages[at].text)[1]
        model = f"{body.get('model')}-2026-11-01"
        if any(message.role == "assistant" for message in messages[at:]):
            return Answer(f"{prefix}{number:08}", model, "Done.", ())
        call = ToolCall(f"call_{number:08}", "read_file", json.dumps({"path": asked}))
        return Answer(f"{prefix}{number:08}", model, "", (call,))

    def remember(self, answer, items):
        super().remember(answer, items)
        with self._lock:
            while len(self._histories) > 1_000:
                del self._histories[next(iter(self._histories))]


if __name__ == "__main__":
    with Reader() as model:
        print(model.url, flush=True)  # noqa: T201 - as it promises
        threading.Event().wait()
