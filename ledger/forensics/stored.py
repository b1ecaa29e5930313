"""What a query sees, as tables of a DuckDB: `records` of everything that was taken in, and `actions` that the join makes of them.

sealed.stored.*   what a builder made of the log up to some size, in a file that is only read (none where the log is small)
stored.*          what came since; in a builder, everything
live.*            the join of what is new (ledger.forensics.join)
made.*            the views that are tables (sealed.made.* those of the builder)
main.*            what is seen: views over all of these
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ledger.forensics.evidence import CHECKED_CONTENT
from ledger.forensics.join import Join
from ledger.forensics.keyed import KeyedView, view_all
from ledger.forensics.views import ANEW, Described, View, load_views
from ledger.records.columns import column_name
from ledger.records.members import MEMBERS, PERSONS
from ledger.records.resources import schema_text

_ENTRIES: Final = pa.schema(
    [
        ("seq", pa.uint64()),
        ("hash", pa.binary()),
        ("entry", pa.string()),
        ("contents", pa.list_(CHECKED_CONTENT)),
    ]
)
FLOWS: Final = "flows"  # its rows have stages of their own: ledger.forensics.join
_OWN: Final = "submitter = 'log'"  # no entry of the log itself is of an action
_OWN_END: Final = '"submitter":"log","v":1}'  # of its canonical form
WAITING: Final = 1000  # such entries


class OutdatedError(Exception):
    """Something that came now is about what stands in the sealed file, which has to be made anew."""


class Stored:
    """Tables that grow as the log grows. Used by one thread."""

    def __init__(self, db: duckdb.DuckDBPyConnection, *, sealed: Path | None = None, size: int = 0) -> None:
        """Make the tables, or go on with those that are there.

        Args:
            db: a database in memory, or a builder's file.
            sealed: a file that a builder made.
            size: entries of the log that are in `db` or in `sealed`, and joined.
        """
        self.db, self.size, self._linked = db, size, size
        self._waiting: list[pa.Table] = []  # entries that are not in `records` yet
        self._joined, self._sealed, self._renamed = size, sealed is not None, False
        self._told = False  # is there anything of an action in `stored.records` that is not joined?
        self._sealed_size, self._hides = size, False  # is there an action in `sealed` that is not to be seen?
        self._projection = schema_text("projection.sql").strip().rstrip(";")
        self._shown: tuple[int | None, int] = (None, 0)
        self._back: list[KeyedView] = []  # those whose earlier rows are made, of what is shown
        self._seen: tuple[bool | int, ...] | None = None
        self._joined_all = False  # `live.joined` is of everything
        self._changes = 0  # how often `actions` was not what it had been
        self._made: dict[str, int] = {}  # views, and at which change
        self._here: set[str] = set()  # those that are not the sealed ones
        run = db.execute
        run("SET GLOBAL TimeZone = 'UTC'")
        if sealed is not None:
            run(f"ATTACH '{str(sealed).replace(chr(39), chr(39) * 2)}' AS sealed (READ_ONLY)")
        for schema in ("live", "stored", "made"):
            run(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        run("CREATE TABLE IF NOT EXISTS stored.persons (commitment VARCHAR, value VARCHAR)")
        run("CREATE TABLE IF NOT EXISTS stored.links (seq UBIGINT, found UBIGINT, seeks UBIGINT)")
        # Actions of `sealed` that are here anew, or no more.
        run("CREATE TABLE IF NOT EXISTS stored.hidden (seq UBIGINT)")
        run("CREATE TABLE IF NOT EXISTS live.renamed (seq UBIGINT)")
        run(f"CREATE VIEW main.persons AS {self.all('persons')}")
        self._insert(
            "entries",
            _ENTRIES.empty_table(),
            f"CREATE TABLE IF NOT EXISTS stored.records AS {self._projection}",
        )
        self._join = Join(db, records=self.all("records"), links=self.all("links"))
        run("CREATE TABLE IF NOT EXISTS stored.actions AS FROM live.actions LIMIT 0")
        run(f"CREATE VIEW live.every_record AS {self.all('records')}")
        views = load_views().values()
        self._keyed = {view.name: KeyedView(db, view, sealed=self._sealed) for view in views if view.key}
        self._see(contents=True)
        view_all(db)
        if size == 0:
            self.view(views)
        else:
            self._made = {view.name: self._changes for view in views if not view.key}
            self._here = set() if self._sealed else set(self._made)
            self._seen = None
        self.show()

    def all(self, table: str) -> str:
        """A SELECT of all rows of a table."""
        sealed = f"FROM sealed.stored.{table} UNION ALL " if self._sealed else ""
        return f"{sealed}FROM stored.{table}"

    def take(self, entries: pa.Table, size: int) -> None:
        """Project checked entries into columns.

        Args:
            entries: seq, hash, entry, contents.
            size: of the log with them; retired entries have no row.
        """
        self._waiting.append(entries)
        self.size = size
        if sum(part.num_rows for part in self._waiting) > WAITING or not _all_own(entries):
            self.project()

    def project(self) -> None:
        """Have every entry in `records`. Until then those may be missing that the log made itself: each query leaves one, which most do not ask for."""
        if self._waiting:
            linked = self._linked
            entries = pa.concat_tables(self._waiting)
            self.db.execute("BEGIN")  # where memory is short, all of them or none: the next query tries again
            try:
                self._insert("entries", entries, f"INSERT INTO stored.records {self._projection}")
                if _all_own(entries):  # which have no links
                    self._linked = self.size
                else:
                    self.grown(self.size)
                self.db.execute("COMMIT")
            except duckdb.Error:
                self.db.execute("ROLLBACK")
                self._linked = linked
                raise
            self._waiting = []

    def grown(self, size: int) -> None:
        """There are records up to this size of the log now: they can be joined from here on."""
        self._join.link(self._linked, size)
        self._linked = self.size = size
        self._told = True

    def settle(self) -> None:
        """Leave only what a reader of the file needs, on the disk."""
        self.project()
        for view in ("persons", "records", "actions", *load_views()):
            self.db.execute(f"DROP VIEW main.{view}")
        for schema in ("viewed", "live"):
            self.db.execute(f"DROP SCHEMA {schema} CASCADE")
        self.db.execute("CHECKPOINT")

    def take_persons(self, persons: pa.Table) -> None:
        """Add checked persons, before the entries that first name them. One who was only a commitment so far is named from now on.

        Raises:
            OutdatedError: such a one stands in the sealed file.
        """
        if not persons.num_rows:
            return
        self._insert("people", persons, "INSERT INTO stored.persons SELECT commitment, value FROM people")
        self.db.register("people", persons)
        try:
            for name in (path.replace(".", "_") for path in PERSONS):
                self._name(name)
        finally:
            self.db.unregister("people")

    def _name(self, column: str) -> None:
        unnamed = f"{column} IS NULL AND {column}_commitment IN (SELECT commitment FROM people)"
        if self._sealed and self._any(f"FROM sealed.stored.records WHERE {unnamed}"):
            raise OutdatedError
        if self._any(f"FROM stored.records WHERE {unnamed}"):
            self.db.execute(f"INSERT INTO live.renamed SELECT seq FROM stored.records WHERE {unnamed}")
            self.db.execute(
                f"UPDATE stored.records SET {column} = json_extract_string(people.value, '$') FROM people"
                f" WHERE {column} IS NULL AND {column}_commitment = people.commitment"
            )
            self._renamed = True

    def join(self) -> None:
        """Bring `actions` up to what was taken in."""
        if self._told or self._renamed:
            new = f"SELECT seq FROM stored.records WHERE seq >= {self._joined:d} AND NOT {_OWN}"
            if self._renamed:
                new += " UNION ALL FROM live.renamed"
            if self._any(f"FROM ({new})"):
                self._join_new(new)
        self._joined, self._told, self._renamed = self._linked, False, False

    def _join_new(self, new: str) -> None:
        run = self.db.execute
        if self._joined == 0:
            self._join.join_all()
            run("CREATE OR REPLACE TABLE stored.actions AS FROM live.joined")
            self._joined_all = True
            for keyed in self._keyed.values():
                keyed.whole = True
        else:
            self._join.reach(new)
            self._join_touched()
            run("DELETE FROM stored.actions WHERE seq IN (FROM live.touched)")
            run("INSERT INTO stored.actions FROM live.joined")
            for keyed in self._keyed.values():
                keyed.touch()
            if self._sealed:
                run(
                    f"INSERT INTO stored.hidden SELECT seq FROM live.touched WHERE seq < {self._sealed_size:d} EXCEPT FROM stored.hidden"
                )
                self._hides = self._any("FROM stored.hidden")
        run("CREATE OR REPLACE TABLE live.renamed (seq UBIGINT)")
        self._changes += 1

    def _join_touched(self, below: int | None = None) -> None:
        self._joined_all = False
        self._join.join_touched(below)

    def view(self, views: Iterable[View]) -> None:
        """Bring views that are made whole up to `actions`: tables, so that asking one again costs nothing."""
        stale = [view for view in views if not view.key and self._made.get(view.name) != self._changes]
        if stale:
            self._see(contents=True)
        for view in stale:
            self.db.execute(f"CREATE OR REPLACE TABLE made.{view.name} AS {view.sql}")
            self._made[view.name] = self._changes
            self._here.add(view.name)

    def show(self, as_of: int | None = None, views: Sequence[View] = (), *, contents: bool = True) -> None:
        """Make what queries see.

        Args:
            as_of: of the log as it was with so many entries; None: as it is.
            views: those that are asked, beside `records` and `actions`.
            contents: with contents and persons; else they are NULL.
        """
        if as_of is not None and as_of >= self.size:
            as_of = None
        asked = [self._keyed[view.name] for view in views if view.key]
        for keyed in asked:
            if keyed.behind:
                self._turn(None)
                self._bring(keyed)
        self._turn(as_of)
        for keyed in asked:
            if as_of is not None and keyed not in self._back:
                self._look_back(keyed, as_of)
        self.view(view for view in views if contents or view.readers != ANEW)
        self._see(contents=contents)

    def _turn(self, as_of: int | None) -> None:
        """Have `records` and `actions` be those of a size of the log; None: those of now."""
        shown = (as_of, 0 if as_of is None else self.size)
        if shown == self._shown:
            return
        self._shown, self._seen, self._back = (None, 0), None, []  # should the rest fail
        self._changes += 1
        if as_of is not None:
            self.join()
            self._join.reach(f"FROM live.every_record SELECT seq WHERE seq >= {as_of:d}")
            self._join_touched(below=as_of)
            self.db.execute("CREATE OR REPLACE TABLE live.later AS FROM live.touched")
            self.db.execute("CREATE OR REPLACE TABLE live.earlier AS FROM live.joined")
            self._shown = shown

    def _bring(self, keyed: KeyedView) -> None:
        """Bring a keyed view up to `actions`."""
        self._see(contents=True)
        keyed.touched()
        if keyed.view.name == FLOWS:
            if not keyed.whole:
                self._join_touched()
            elif not self._joined_all:
                self._join.join_all()
            self._join.flow()
        keyed.make()

    def _look_back(self, keyed: KeyedView, as_of: int) -> None:
        """Make its rows of the size of the log that is shown."""
        self._see(contents=True)
        self.db.execute("CREATE OR REPLACE TABLE live.touched AS FROM live.later")
        if keyed.view.name == FLOWS:
            self._join_touched(below=as_of)
            self._join.flow()
        keyed.make_earlier()
        self._back.append(keyed)

    def _see(self, *, contents: bool) -> None:
        """The views of schema `main`."""
        hiding = (keyed.hides for keyed in self._keyed.values())
        seen = (contents, len(self._here), self._hides, len(self._back), *hiding)
        if self._seen == seen:
            return
        self._seen = seen
        as_of = self._shown[0]
        actions, records, persons = (self.all(table) for table in ("actions", "records", "persons"))
        if self._hides:
            actions = "SELECT * FROM sealed.stored.actions ANTI JOIN stored.hidden USING (seq) UNION ALL FROM stored.actions"
        if as_of is not None:
            records = f"SELECT * FROM ({records}) WHERE seq < {as_of:d}"
            actions = (
                f"SELECT * FROM ({actions}) ANTI JOIN live.later USING (seq) UNION ALL FROM live.earlier"
            )
        tables = {"records": records, "actions": actions, "persons": persons}
        tables |= {
            name: keyed.earlier_rows() if keyed in self._back else keyed.rows()
            for name, keyed in self._keyed.items()
        }
        tables |= {name: f"FROM {'' if name in self._here else 'sealed.'}made.{name}" for name in self._made}
        self.db.execute(f"CREATE OR REPLACE VIEW live.every_action AS {actions}")
        for name, rows in tables.items():
            self.db.execute(
                f"CREATE OR REPLACE VIEW main.{name} AS {rows if contents else _without_contents(name, rows)}"
            )

    def _any(self, rows: str) -> bool:
        return self.db.execute(f"SELECT EXISTS ({rows})").fetchall() == [(True,)]

    def _insert(self, name: str, rows: pa.Table, sql: str) -> None:
        self.db.register(name, rows)
        try:
            self.db.execute(sql)
        finally:
            self.db.unregister(name)


def _all_own(entries: pa.Table) -> bool:
    return bool(pc.all(pc.ends_with(entries.column("entry"), _OWN_END)).as_py())


_SECRET: Final = ("person", "content", "argument")
_PRIVATE: Final = [column_name(member.path) for member in MEMBERS if member.kind != "fact"]


def _without_contents(name: str, rows: str) -> str:
    """A SELECT of the rows that are for everybody, where contents, persons and what was read out of contents is NULL."""
    if name == "persons":
        return f"SELECT * FROM ({rows}) WHERE FALSE"
    where = ""
    if name in ("records", "actions"):
        hidden = [f'NULL::VARCHAR AS "{column}"' for column in _PRIVATE]
        if name == "actions":
            hidden += [
                f"CASE WHEN joined_by.resource IS DISTINCT FROM 'arguments' THEN {column} END AS {column}"
                for column in ("resource_type", "resource_id")
            ]
    else:
        view = load_views()[name]
        if view.readers == ANEW:
            return view.sql
        hidden = [_hidden(column) for column in view.columns if column.kind in _SECRET]
        where = f" WHERE {view.readers}" if view.readers else ""
    replaced = f" REPLACE ({', '.join(hidden)})" if hidden else ""
    return f"SELECT *{replaced} FROM ({rows}){where}"


def _hidden(column: Described) -> str:
    value = "NULL"
    if column.kind == "argument":
        value = f'CASE WHEN "{column.name}_commitment" IS NULL THEN "{column.name}" END'
    return f'({value})::{column.type} AS "{column.name}"'
