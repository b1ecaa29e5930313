"""The file of rules and targets: TOML, read strictly. Nothing else makes a rule or names a target, and no request can.

[[rule]]
name = "new-destination"
kind = "first-seen"
member = "resource.destination"

[[target]]
name = "soc"
kind = "webhook"
url = "https://soc.example.com/hooks/ledger"
secret_env = "SOC_WEBHOOK_SECRET"
"""

import tomllib
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from ledger.alerts.lines import line_of
from ledger.core.errors import Code, LedgerError
from ledger.records.members import CONTENTS, MEMBERS
from ledger.records.selection import Selection, parse_selection, suggestion

MAX_FILE_BYTES: Final = 1024 * 1024
MAX_RULES: Final = 100
MAX_TARGETS: Final = 20
SUBMITTER: Final = "submitter"

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,63}\Z")]
Severity = Literal["informational", "low", "medium", "high", "critical"]
Format = Literal["alert", "ocsf"]
Timeout = Annotated[float, Meta(ge=1, le=60)]
Text = Annotated[str, Meta(min_length=1, max_length=4096)]
_KIND: Final = "kind"


class RuleSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field=_KIND):
    """What every rule has.

    Attributes:
        name: its name, in what is delivered and in the log.
        severity: how bad it is if it is so.
        targets: who is told; all targets where none is named.
        where: only entries with these values, as in a stream's filters.
        include: which contents go with what is delivered; none unless they are named here.
        per_minute: at most so many alerts of it in a minute; of the others, one says how many there were.
        recorded: whether the log itself gets an entry for each alert.
    """

    name: Name
    severity: Severity = "medium"
    targets: Annotated[list[Name], Meta(min_length=1)] | None = None
    where: dict[str, str | list[str]] = {}
    include: list[str] = []
    per_minute: Annotated[int, Meta(ge=1, le=10_000)] = 60
    recorded: bool = True

    @property
    def kind(self) -> str:
        """Which kind of rule it is."""
        return str(self.__struct_config__.tag)

    def selection(self) -> Selection:
        """Which entries it is about.

        Raises:
            LedgerError: `invalid-parameter`: there is no such filter.
        """
        return parse_selection(
            {name: [value] if isinstance(value, str) else value for name, value in self.where.items()}
        )

    def digest(self) -> str:
        """Of what it looks for: another digest is another rule, which begins anew."""
        told = ("name", "severity", "targets", "include", "per_minute", "recorded")
        rest = {name: value for name, value in msgspec.to_builtins(self).items() if name not in told}
        return sha256(msgspec.json.encode(rest, order="deterministic")).hexdigest()


class FirstSeen(RuleSettings, frozen=True, tag="first-seen"):
    """A value of a member that was never there before, in the whole log or for each value of another member.

    Attributes:
        member: which member, or `submitter`.
        per: new for each value of this one: a tool that this agent never used.
    """

    member: Text
    per: Text | None = None


class DeniedThenDone(RuleSettings, frozen=True, tag="denied-then-done"):
    """What was denied, and then done in another way by the same agent.

    Attributes:
        minutes: for how long after the denial.
        by: what makes it the same: the resource or destination, the tool, a distinctive text in the arguments.
    """

    minutes: Annotated[int, Meta(ge=1, le=10_080)] = 60
    by: Annotated[tuple[Literal["resource", "tool", "arguments"], ...], Meta(min_length=1)] = (
        "resource",
        "arguments",
    )


class Indicators(RuleSettings, frozen=True, tag="indicators"):
    """Texts, domains and digests that should not be there.

    Attributes:
        file: the list, one a line (docs/alerts.md); it is read again when it changes.
        contents: look in contents too, not in facts alone. What was found is named, the content is not shown.
    """

    file: Text
    contents: bool = True


class NoOutcome(RuleSettings, frozen=True, tag="no-outcome"):
    """An intent whose outcome did not come, and that was not denied.

    Attributes:
        after_s: seconds after the intent was recorded.
    """

    after_s: Annotated[int, Meta(ge=1, le=604_800)] = 300


class Match(RuleSettings, frozen=True, tag="match"):
    """Every entry that `where` selects."""


class StandingQuery(RuleSettings, frozen=True, tag="query"):
    """A named query, asked again and again; each row that it did not give before is an alert.

    Attributes:
        query: its name.
        every_minutes: minutes from one run to the next; it is not run where nothing was recorded in between.
        parameters: its parameters.
        columns: which columns of a row are shown, beside those that name entries; none unless they are named here.
        contents: whether it may see contents and persons. Then it shows no columns: what a row says is kept until everybody has heard of it,
            and might be erased from the log meanwhile.
    """

    query: Name
    every_minutes: Annotated[float, Meta(ge=0.05, le=1440)] = 5
    parameters: dict[str, str | int | bool] = {}
    columns: list[str] = []
    contents: bool = False


class TargetSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field=_KIND):
    """What every target has.

    Attributes:
        name: its name; its place is kept under it.
    """

    name: Name

    @property
    def kind(self) -> str:
        """Which kind of target it is."""
        return str(self.__struct_config__.tag)


class Reached(TargetSettings, frozen=True, kw_only=True):
    """What a target on a network has.

    Attributes:
        allow_private: whether it may have a private or loopback address, and be spoken to without TLS.
        ca_file: the authority to trust, instead of the public ones.
        timeout_s: seconds for one delivery, in all.
    """

    allow_private: bool = False
    ca_file: Text | None = None
    timeout_s: Timeout = 10.0


class Webhook(Reached, frozen=True, tag="webhook"):
    """An HTTP endpoint; requests are signed as Standard Webhooks has it.

    Attributes:
        url: where; `url_env` or `url_file` where the address itself is a secret.
        secret_env: the variable with the signing secret, `whsec_…`, or several; `secret_file` is a file with it.
        authorization_env: the variable with the value of an Authorization header; `authorization_file` likewise.
        format: what is sent.
    """

    url: Text | None = None
    url_env: Text | None = None
    url_file: Text | None = None
    secret_env: Text | None = None
    secret_file: Text | None = None
    authorization_env: Text | None = None
    authorization_file: Text | None = None
    format: Format = "alert"


class Syslog(Reached, frozen=True, tag="syslog"):
    """A syslog receiver (RFC 5424).

    Attributes:
        address: `host:port`.
        transport: udp (RFC 5426), tcp (RFC 6587, octet counting) or tls (RFC 5425).
        facility: 0 to 23; 13 is "log audit".
        format: what the message's text is.
    """

    address: Text
    transport: Literal["udp", "tcp", "tls"] = "tls"
    facility: Annotated[int, Meta(ge=0, le=23)] = 13
    format: Format = "alert"


class Otlp(Reached, frozen=True, tag="otlp"):
    """A collector that takes logs by OTLP/HTTP in protobuf.

    Attributes:
        url: its base URL, before `/v1/logs`.
        authorization_env: the variable with the value of an Authorization header; `authorization_file` likewise.
    """

    url: Text
    authorization_env: Text | None = None
    authorization_file: Text | None = None


class JsonLines(TargetSettings, frozen=True, tag="file"):
    """A file to which lines are appended, for a forwarder to pick up.

    Attributes:
        path: the file, absolute.
        format: what a line is.
    """

    path: Text
    format: Format = "ocsf"


Rule: TypeAlias = FirstSeen | DeniedThenDone | Indicators | NoOutcome | Match | StandingQuery
Target: TypeAlias = Webhook | Syslog | Otlp | JsonLines


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """All of it: `[[rule]]` and `[[target]]`."""

    rule: Annotated[list[Rule], Meta(min_length=1, max_length=MAX_RULES)]
    target: Annotated[list[Target], Meta(min_length=1, max_length=MAX_TARGETS)]


def read_settings(path: Path) -> Settings:
    """Read the file.

    Raises:
        LedgerError: `alerts-file`, with the line that is wrong.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise LedgerError(Code.ALERTS_FILE, f"{path} cannot be read: {error.strerror}") from None
    if len(data) > MAX_FILE_BYTES:
        raise LedgerError(Code.ALERTS_FILE, f"{path} has more than {MAX_FILE_BYTES:,} bytes")
    try:
        return parse_settings(data.decode())
    except (LedgerError, UnicodeDecodeError) as error:
        detail = error.detail if isinstance(error, LedgerError) else f"not UTF-8: {error}"
        raise LedgerError(Code.ALERTS_FILE, f"{path}: {detail}") from None


def parse_settings(text: str) -> Settings:
    """Read the text of such a file.

    Raises:
        LedgerError: `alerts-file`, with the line that is wrong.
    """
    try:
        settings = msgspec.convert(tomllib.loads(text), Settings)
    except tomllib.TOMLDecodeError as error:  # it says the line
        raise LedgerError(Code.ALERTS_FILE, f"not TOML: {error}") from None
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `")
        raise _wrong(text, path.rstrip("`") or "$", what) from None
    for at, rule in enumerate(settings.rule):
        _check_rule(text, f"$.rule[{at}]", rule, {target.name for target in settings.target})
    for at, target in enumerate(settings.target):
        _check_target(text, f"$.target[{at}]", target)
    _refuse_twins(text, "rule", [rule.name for rule in settings.rule])
    _refuse_twins(text, "target", [target.name for target in settings.target])
    return settings


def _check_rule(text: str, path: str, rule: Rule, targets: set[str]) -> None:
    try:
        rule.selection()
    except LedgerError as error:
        raise _wrong(text, f"{path}.where", error.detail) from None
    for name in rule.targets or ():
        if name not in targets:
            raise _wrong(text, f"{path}.targets", f"there is no target {name!a}")
    for member in rule.include:
        if member not in CONTENTS:
            raise _wrong(text, f"{path}.include", f"{member!a} is no content{suggestion(member)}")
    _check_kind(text, path, rule)


def _check_kind(text: str, path: str, rule: Rule) -> None:
    if isinstance(rule, FirstSeen):
        for key, named in (("member", rule.member), ("per", rule.per)):
            if named is not None and not _countable(named):
                raise _wrong(
                    text,
                    f"{path}.{key}",
                    f"{named!a} is no member with one value that stays the same{suggestion(named)}",
                )
    if isinstance(rule, Indicators) and not Path(rule.file).is_absolute():
        raise _wrong(text, f"{path}.file", "the path is absolute: a server may be started anywhere")
    if isinstance(rule, StandingQuery) and rule.contents and rule.columns:
        raise _wrong(
            text,
            f"{path}.columns",
            "a query that sees contents shows no columns beside those that name entries",
        )
    if isinstance(rule, Match) and not rule.where:
        raise _wrong(text, path, "a rule of this kind needs `where`: without, it would tell of every entry")


def _check_target(text: str, path: str, target: Target) -> None:
    if isinstance(target, JsonLines):
        if not Path(target.path).is_absolute():
            raise _wrong(text, f"{path}.path", "the path is absolute: a server may be started anywhere")
        return
    if isinstance(target, Webhook):
        if sum(each is not None for each in (target.url, target.url_env, target.url_file)) != 1:
            raise _wrong(text, path, "a webhook has one of `url`, `url_env` and `url_file`")
        if (target.secret_env is None) == (target.secret_file is None):
            raise _wrong(
                text, path, "a webhook has one of `secret_env` and `secret_file`: what is sent is signed"
            )
    if isinstance(target, Webhook | Otlp) and target.authorization_env and target.authorization_file:
        raise _wrong(text, path, "it has `authorization_env` or `authorization_file`, not both")


def _countable(member: str) -> bool:
    """A fact that is text or a number, or a person, whose commitment is the same wherever the person is named."""
    return member == SUBMITTER or any(
        each.path == member
        and (each.kind == "person" or (each.kind == "fact" and each.type in {"text", "integer"}))
        for each in MEMBERS
    )


def _refuse_twins(text: str, table: str, names: list[str]) -> None:
    for at, name in enumerate(names):
        if name in names[:at]:
            raise _wrong(text, f"$.{table}[{at}].name", f"there is a {table} {name!a} already")


def _wrong(text: str, path: str, what: str) -> LedgerError:
    return LedgerError(Code.ALERTS_FILE, f"line {line_of(text, path)}: {what}", path=path.removeprefix("$."))
