"""A tool's execution → an action; the same for what MCP says of one, from the client's side or the server's."""

import re
from typing import Any, Final

from ledger.ingest.draft import Draft, fact
from ledger.ingest.otlp import names
from ledger.ingest.otlp.embedded import arguments, structure
from ledger.ingest.otlp.results import ToolMessage, tool_message
from ledger.ingest.otlp.sheet import Sheet
from ledger.records.limits import MAX_LIST_ITEMS

# Two libraries say a tool's name nowhere but in the span's: Azure's @trace_function, and the MCP SDK's client.
_NAME_IN_SPAN: Final = re.compile(r"(?:execute_tool|MCP send tools/call|tools/call) ([\w.:/@-]{1,128})")
_PARAMETER: Final = "code.function.parameter."
_TRACELOOP_LANGCHAIN: Final = "opentelemetry.instrumentation.langchain"


def tool(sheet: Sheet) -> None:
    """The record of a tool's execution: an error of the span is a failure, anything else a success."""
    draft = sheet.own(sheet.draft("action", "tool"))
    _name(sheet, draft)
    draft.set("tool.type", sheet.bag.text(names.TOOL_TYPE))
    draft.content("tool.arguments", _arguments(sheet))
    returned = _result(sheet, draft)
    sheet.outcome(draft)
    if not draft.has("outcome.status"):
        draft.set("outcome.status", "success")
    if returned is not None and returned.status == "error":
        draft.set("outcome.status", "failure")
    sheet.who(draft)
    sheet.last(draft)


def mcp(sheet: Sheet) -> None:
    """The record of one side of an MCP request. A span that does not say how it ended leaves that open: the SDK's client does not
    mark a call that the server refused.
    """
    draft = sheet.own(sheet.draft("action", "mcp"))
    draft.set("tool.protocol", "mcp").set("tool.operation", sheet.bag.pop("mcp.method.name"))
    _name(sheet, draft)
    draft.set("tool.server", _server(sheet))
    draft.content("tool.arguments", _arguments(sheet))
    _result(sheet, draft)
    sheet.outcome(draft)
    if not draft.has("outcome.status"):
        draft.set("outcome.status", "unknown" if sheet.span.kind == "client" else "success")
    sheet.who(draft)
    _scopes(sheet, draft)
    sheet.last(draft)


def _name(sheet: Sheet, draft: Draft) -> None:
    named = sheet.bag.text(names.TOOL_NAME)
    if named is None and (match := _NAME_IN_SPAN.fullmatch(sheet.span.name)):
        named = match[1]
    draft.put("tool.name", named)


def _arguments(sheet: Sheet) -> Any:
    bag = sheet.bag
    parameters = {
        name: bag.left[name] for name in bag.left if isinstance(name, str) and name.startswith(_PARAMETER)
    }
    if parameters:
        for name in parameters:
            bag.pop(name)
        return {name[len(_PARAMETER) :]: structure(value) for name, value in parameters.items()}
    if "mcp.resource.uri" in bag.left:
        return {"uri": bag.pop("mcp.resource.uri")}
    for name in names.ARGUMENTS:
        if name in bag.left:
            sent = bag.pop(name)
            _drop_copies(sheet, names.ARGUMENTS, sent)
            given = arguments(sent)
            if not isinstance(given, dict) or "input_str" not in given or not _by_traceloop(sheet):
                return given
            bag.left[name] = {
                key: value for key, value in given.items() if key not in {"input_str", "inputs"}
            }
            return given["inputs"] if isinstance(given.get("inputs"), dict) else arguments(given["input_str"])
    return None


def _result(sheet: Sheet, draft: Draft) -> ToolMessage | None:
    """Put in what the tool returned, and the id of the call, which some libraries say only there."""
    bag = sheet.bag
    draft.set("tool.call_id", bag.text(names.CALL_ID))
    name = next((name for name in names.RESULT if bag.left.get(name, "{}") not in ("{}", {})), None)
    if name is None:
        return None
    sent = bag.pop(name)
    _drop_copies(sheet, names.RESULT, sent)
    found = structure(sent)
    returned = tool_message(found)
    if returned is None:
        run = (
            isinstance(found, dict)
            and "output" in found
            and (name == "gen_ai.completion" or _by_traceloop(sheet))
        )
        draft.content("outcome.result", found["output"] if run else sent)
        rest = {key: value for key, value in found.items() if key != "output"} if run else {}
    else:
        draft.content("outcome.result", returned.content)
        if not draft.has("tool.call_id"):
            draft.put("tool.call_id", returned.call_id)
        rest = returned.rest
    if rest:
        bag.left[name] = rest
    return returned


def _by_traceloop(sheet: Sheet) -> bool:
    """Traceloop's LangChain callback puts arguments and results among its own."""
    return sheet.span.scope.startswith(_TRACELOOP_LANGCHAIN)


def _drop_copies(sheet: Sheet, aliases: names.Names, sent: object) -> None:
    for alias in aliases:
        if alias in sheet.bag.left and sheet.bag.left[alias] == sent:
            sheet.bag.pop(alias)


def _server(sheet: Sheet) -> str | None:
    """Who offers the tool, as the server itself says. A client's address of it is another name of the same, and stays in the original."""
    named = sheet.bag.text(("fastmcp.server.name",))
    if named is None and sheet.span.kind == "server":
        return fact(sheet.span.resource.get("service.name"))
    return named


def _scopes(sheet: Sheet, draft: Draft) -> None:
    sent = sheet.bag.left.get("enduser.scope")
    scopes = sent.split() if isinstance(sent, str) else []
    if scopes and len(scopes) <= MAX_LIST_ITEMS and all(fact(scope) == scope for scope in scopes):
        draft.set("identity.scopes", scopes)
        sheet.bag.pop("enduser.scope")
