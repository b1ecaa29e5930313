"""The decorator: each call of a function is an action."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from ledger.client.action import Action
from ledger.client.members import Facet

Resource = Callable[..., Facet | None]


def recorded(
    function: Callable[..., Any], action: Callable[..., Action], tool: str | None, resource: Resource | None
) -> Callable[..., Any]:
    """The function, whose calls are actions: its parameters are the arguments, what it returns is the result.

    Args:
        function: a function or a coroutine function.
        action: makes an action of a tool's name, `arguments` and `resource`.
        tool: the tool's name; the function's own when None.
        resource: called with the function's arguments by name.

    Raises:
        TypeError: the function is a generator: it has no one moment at which it ran.
    """
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{function.__name__} is a generator: use `with ledger.action(…)` inside it")
    signature = inspect.signature(function)
    name = tool or function.__name__

    def begun(args: Any, kwargs: Any) -> Action:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = {key: value for key, value in bound.arguments.items() if key not in {"self", "cls"}}
        return action(name, arguments=given, resource=resource(**given) if resource is not None else None)

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        with begun(args, kwargs) as act:
            act.result = function(*args, **kwargs)
        return act.result

    @functools.wraps(function)
    async def arun(*args: Any, **kwargs: Any) -> Any:
        async with begun(args, kwargs) as act:
            act.result = await function(*args, **kwargs)
        return act.result

    return arun if inspect.iscoroutinefunction(function) else run
