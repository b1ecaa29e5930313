"""What docs/queries.md claims, run."""

import re
from pathlib import Path

import pytest

from ledger.forensics import service
from tests.forensics.conftest import Desk, action

PAGE = (Path(__file__).resolve().parent.parent.parent / "docs" / "queries.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("sql", BLOCKS)
def test_every_sql_block_of_the_page_runs(desk: Desk, sql: str):
    desk.post(action(900 + BLOCKS.index(sql), tool={"name": "send"}))
    desk.ask(sql, {"tool": "send"} if "$tool" in sql else {})


def test_the_limits_on_the_page_are_the_limits():
    limits = (
        f"At most {service.MAX_ROWS:,} rows, {service.MAX_BYTES // 2**20} MiB and {service.DEADLINE_S:g} s;"
    )
    assert limits in PAGE
    assert f"{service.MAX_WAITING} may wait" in PAGE
