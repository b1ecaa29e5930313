"""Messages written out flat, one attribute a member: `llm.input_messages.0.message.role`, `gen_ai.prompt.0.content`."""

from typing import Any, Final

from ledger.ingest.otlp.attributes import Bag

MAX_STEPS: Final = 12  # of a name; a longer one is nobody's message
MAX_DIGITS: Final = 6


class _Branch(dict[str, Any]):
    """A level of names, as opposed to a value that is an object itself."""


def take(bag: Bag, prefix: str) -> list[Any]:
    """The list under a prefix such as `gen_ai.prompt.`, its attributes taken. What fits into no tree stays in the bag."""
    root = _Branch()
    for name in [name for name in bag.left if isinstance(name, str) and name.startswith(prefix)]:
        path = name[len(prefix) :].split(".")
        if len(path) <= MAX_STEPS and _is_index(path[0]) and _placed(root, path, bag.left[name]):
            del bag.left[name]
    found = _grown(root)
    return found if isinstance(found, list) else []


def _placed(root: _Branch, path: list[str], value: object) -> bool:
    at = root
    for step in path[:-1]:
        below = at.setdefault(step, _Branch())
        if not isinstance(below, _Branch):
            return False
        at = below
    if path[-1] in at:
        return False
    at[path[-1]] = value
    return True


def _grown(branch: object) -> Any:
    """Levels of numbers become lists, in the order of the numbers, whatever their gaps."""
    if not isinstance(branch, _Branch):
        return branch
    if branch and all(_is_index(step) for step in branch):
        return [_grown(branch[step]) for step in sorted(branch, key=int)]
    return {step: _grown(below) for step, below in branch.items()}


def _is_index(step: str) -> bool:
    return step.isascii() and step.isdigit() and len(step) <= MAX_DIGITS
