"""A view whose rows are made again only where they may have changed: its file says by which columns (`-- key:`), schemas/views/parts which rows.

Where there is a sealed file the rows in it stay, and those of them that are not what they were are hidden by their keys.
"""

import duckdb

from ledger.forensics.views import View
from ledger.records.resources import schema_text


def view_all(db: duckdb.DuckDBPyConnection) -> None:
    """Have `viewed` show all of `main.records` and `main.actions`; a view's parts have it show those that its rows are made of again."""
    db.execute("CREATE SCHEMA IF NOT EXISTS viewed")
    for table in ("records", "actions"):
        db.execute(f"CREATE OR REPLACE VIEW viewed.{table} AS SELECT * FROM main.{table}")


class KeyedView:
    """The rows of one such view, now and at one earlier size. Who calls has `main` show the actions and records that they are to be of."""

    def __init__(self, db: duckdb.DuckDBPyConnection, view: View, *, sealed: bool) -> None:
        """Make its tables, or go on with those that are there.

        Args:
            db: where the schemas `live`, `made` and `viewed` are.
            view: has a key.
            sealed: its rows stand in `sealed` too.
        """
        self._db, self.view, self._sealed = db, view, sealed
        self._name, self._key = view.name, ", ".join(view.key)
        self._parts = schema_text(f"views/parts/{view.name}.sql")
        self.whole = False  # all of it is to be made
        self.hides = False  # is there a sealed row that is not to be seen?
        columns = {column.name: f'"{column.name}" {column.type}' for column in view.columns}
        keys = ", ".join(columns[name] for name in view.key)
        db.execute(f"CREATE TABLE IF NOT EXISTS made.{self._name} ({', '.join(columns.values())})")
        db.execute(f"CREATE OR REPLACE TABLE live.hidden_{self._name} ({keys})")
        db.execute(f"CREATE OR REPLACE TABLE live.behind_{self._name} (seq UBIGINT)")

    @property
    def behind(self) -> bool:
        """Its rows are not those of `actions`."""
        exists = f"SELECT EXISTS (FROM live.behind_{self._name})"
        return self.whole or self._db.execute(exists).fetchall() == [(True,)]

    def touch(self) -> None:
        """What is in `live.touched` may not be what it was."""
        self._db.execute(
            f"INSERT INTO live.behind_{self._name} FROM live.touched EXCEPT FROM live.behind_{self._name}"
        )

    def touched(self) -> None:
        """Make `live.touched` what was touched since the rows were made."""
        which = "SELECT seq FROM live.every_record" if self.whole else f"FROM live.behind_{self._name}"
        self._db.execute(f"CREATE OR REPLACE TABLE live.touched AS {which}")

    def make(self) -> None:
        """Bring its rows up to `main`: those about what is in `live.touched`."""
        run = self._db.execute
        run(self._parts)
        run(f"DELETE FROM made.{self._name} WHERE ({self._key}) IN (SELECT ({self._key}) FROM live.stale)")
        if self._sealed:
            run(
                f"INSERT INTO live.hidden_{self._name} SELECT {self._key} FROM sealed.made.{self._name} SEMI JOIN live.stale USING ({self._key})"
                f" EXCEPT FROM live.hidden_{self._name}"
            )
            [(self.hides,)] = run(f"SELECT EXISTS (FROM live.hidden_{self._name})").fetchall()
        run(f"INSERT INTO made.{self._name} BY NAME {self._again()}")
        view_all(self._db)
        run(f"TRUNCATE live.behind_{self._name}")
        self.whole = False

    def make_earlier(self) -> None:
        """Make the rows that `main` gives now, as that of an earlier size, in the place of those about what is in `live.touched`."""
        self._db.execute(self._parts)
        self._db.execute(f"CREATE OR REPLACE TABLE live.later_{self._name} AS FROM live.stale")
        self._db.execute(f"CREATE OR REPLACE TABLE live.earlier_{self._name} AS {self._again()}")
        view_all(self._db)

    def rows(self) -> str:
        """A SELECT of all of them, now."""
        if not self._sealed:
            return f"FROM made.{self._name}"
        hidden = f" ANTI JOIN live.hidden_{self._name} USING ({self._key})" if self.hides else ""
        return f"SELECT * FROM sealed.made.{self._name}{hidden} UNION ALL FROM made.{self._name}"

    def earlier_rows(self) -> str:
        """A SELECT of all of them, as `make_earlier` made them."""
        return (
            f"SELECT * FROM ({self.rows()}) ANTI JOIN live.later_{self._name} USING ({self._key})"
            f" UNION ALL BY NAME FROM live.earlier_{self._name}"
        )

    def _again(self) -> str:
        return f"SELECT * FROM ({self.view.sql}) SEMI JOIN live.stale USING ({self._key})"
