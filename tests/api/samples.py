"""Records that tests post."""

import itertools

_numbers = itertools.count()


def fresh(**members):
    """A small action that no test posted before."""
    number = next(_numbers)
    return {
        "id": f"api-{number}",
        "type": "action",
        "time": "2026-11-21T09:30:00Z",
        "request": {"user": "alice@example.com", "text": f"do {number}"},
        "tool": {"name": "send_money", "arguments": {"amount": 1.5}},
        **members,
    }
