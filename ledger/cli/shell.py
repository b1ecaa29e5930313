"""`agent-ledger sql` without a statement: SQL at a prompt, with completion and a history."""

import contextlib
import os
from pathlib import Path
from typing import Any, Final

from prompt_toolkit import PromptSession
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.key_processor import KeyPressEvent

from ledger.cli import terminal
from ledger.cli.answering import Format, answered, file_format, parameters
from ledger.cli.completing import Words
from ledger.cli.exits import CommandError
from ledger.client.http import LedgerClient, ProblemError, UnreachableError
from ledger.client.pins import pins_folder
from ledger.client.questions import Page, Question

COMMANDS: Final = {
    "\\d": "list the views; \\d VIEW: its columns",
    "\\set": "set a parameter: \\set name=text, name:timestamp=2026-11-21, name:=json",
    "\\unset": "forget a parameter",
    "\\o": "write answers to a file (json, ndjson, csv, arrow, parquet); alone: to the terminal",
    "\\asof": "answer as when the log had so many entries; alone: now",
    "\\n": "the next rows of the last answer",
    "\\?": "this list",
    "\\q": "leave (Ctrl-D too)",
}
HISTORY_MODE: Final = 0o600  # what was asked holds names and accounts


class Shell:
    """One sitting: what is set, and the last question."""

    def __init__(self, client: LedgerClient, given: dict[str, Any]) -> None:
        self._client = client
        self.tables = client.tables()
        self.parameters = given
        self._output: Path | None = None
        self._as_of: int | None = None
        self._last: tuple[Question, Page] | None = None

    def obey(self, text: str) -> bool:
        """Do what a line says; False ends the sitting. Whatever is wrong is said, and the next line may come."""
        text = text.strip()
        if text in {"\\q", "exit", "quit", "exit;", "quit;"}:
            return False
        try:
            if text.startswith("\\"):
                command, _, rest = text.partition(" ")
                self._command(command, rest.strip())
            elif text.rstrip("; "):
                used = {name: value for name, value in self.parameters.items() if f"${name}" in text}
                self._ask(Question(text.rstrip("; \n"), None, used, as_of=self._as_of))
        except (CommandError, ProblemError) as error:
            terminal.complain(error.detail)
        except (UnreachableError, OSError, ValueError) as error:
            terminal.complain(str(error))
        return True

    def _ask(self, question: Question) -> None:
        page = answered(self._client, question, Format.TABLE, self._output)
        self._last = (question, page)
        if page.next is not None:
            terminal.say("\\n shows the next rows", style="dim")

    def _command(self, command: str, rest: str) -> None:
        match command:
            case "\\?":
                terminal.print_table(["command", "does"], list(COMMANDS.items()), whole_names=True)
            case "\\d":
                self._describe(rest)
            case "\\set":
                self._set(rest)
            case "\\unset":
                self.parameters.pop(rest.removeprefix("$"), None)
            case "\\o":
                self._output = Path(rest).expanduser() if rest else None
                if self._output is not None:
                    file_format(self._output)
            case "\\asof":
                self._as_of = int(rest) if rest else None
            case "\\n":
                self._next()
            case _:
                raise CommandError(f"there is no {command}; \\? lists what there is")

    def _set(self, rest: str) -> None:
        if rest:
            self.parameters |= parameters([rest])
        rows = [(f"${name}", value) for name, value in self.parameters.items()]
        terminal.print_table(["parameter", "value"], rows, whole_names=True)

    def _describe(self, name: str) -> None:
        if not name:
            rows = [(table["name"], table["answers"]) for table in self.tables]
            terminal.print_table(["view", "a row is"], rows, whole_names=True)
            return
        for table in self.tables:
            if table["name"] == name:
                columns = [(each["name"], each["type"], each["about"]) for each in table["columns"]]
                terminal.print_table(["column", "type", "meaning"], columns, whole_names=True)
                return
        raise CommandError(f"there is no view {name}; \\d lists them")

    def _next(self) -> None:
        if self._last is None or self._last[1].next is None:
            raise CommandError("there are no further rows")
        question, page = self._last
        self._ask(question._replace(cursor=page.next, as_of=None))


def shell(client: LedgerClient, given: dict[str, Any]) -> None:
    """Read and answer until the end of the input."""
    sitting = Shell(client, given)
    session: PromptSession[str] = PromptSession(
        history=FileHistory(str(_history())),
        completer=Words(sitting.tables, sitting.parameters, COMMANDS),
        complete_while_typing=False,
        multiline=True,
        key_bindings=_keys(),
        prompt_continuation="   ...> ",
    )
    terminal.say(
        f"the ledger at {client.url}; a statement ends with ;  \\? lists commands, Tab completes", style="dim"
    )
    while True:
        try:
            text = session.prompt("ledger> ")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if not sitting.obey(text):
            return


def _keys() -> KeyBindings:
    """Enter ends a statement that ends with ; and a command; anywhere else it begins a line."""
    keys = KeyBindings()

    def _ends(text: str) -> bool:
        return (
            not text.strip()
            or text.rstrip().endswith(";")
            or text.lstrip().startswith("\\")
            or text in {"exit", "quit"}
        )

    @keys.add("enter", filter=Condition(lambda: True))
    def _enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if _ends(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n")

    return keys


def _history() -> Path:
    """The file of what was asked, for its owner alone."""
    folder = pins_folder().parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "sql-history"
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, HISTORY_MODE))
    return path
