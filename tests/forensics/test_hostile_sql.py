"""Threat 32: analysts' SQL reads no file, no environment, no network, and changes nothing."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.core.errors import Code, LedgerError
from ledger.forensics.render import MEDIA_TYPES
from tests.forensics.conftest import Desk, action

CANARY = "canary-7f1e0c"
CANARY_VARIABLE = "LEDGER_CANARY"
# {file} is the canary file, {folder} the folder it is in, {out} a file that must not come to be.
REFUSED = [
    "SELECT * FROM read_csv('{file}')",
    "SELECT * FROM read_csv_auto('{file}')",
    "SELECT * FROM '{file}'",
    'FROM "{file}"',
    "SELECT * FROM read_text('{file}')",
    "SELECT * FROM read_blob('{file}')",
    "SELECT content FROM read_text('{folder}/*')",
    "SELECT * FROM read_json('{file}')",
    "SELECT * FROM read_json_objects('{file}')",
    "SELECT * FROM read_ndjson('{file}')",
    "SELECT * FROM read_parquet('{file}')",
    "SELECT * FROM parquet_metadata('{file}')",
    "SELECT * FROM parquet_schema('{file}')",
    "SELECT * FROM sniff_csv('{file}')",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM read_duckdb('{file}')",
    "SELECT * FROM query('SELECT * FROM read_text(''{file}'')')",
    "SELECT * FROM query_table('{file}')",
    "SELECT (SELECT content FROM read_text('{file}'))",
    "WITH x AS MATERIALIZED (SELECT * FROM read_text('{file}')) SELECT * FROM x",
    "SELECT * FROM read_text('http://127.0.0.1:1/x')",
    "SELECT * FROM read_csv('https://example.com/x.csv')",
    "SELECT * FROM read_parquet('s3://bucket/x.parquet')",
    "SELECT getenv('{variable}')",
    "SELECT * FROM getenv('{variable}')",
    "SELECT $variable",
    "COPY records TO '{out}'",
    "COPY (SELECT 1) TO '{out}' (FORMAT parquet)",
    "COPY records FROM '{file}'",
    "SELECT * FROM (COPY (SELECT 1) TO '{out}')",
    "EXPORT DATABASE '{out}'",
    "IMPORT DATABASE '{folder}'",
    "ATTACH '{out}' AS stolen",
    "ATTACH ':memory:' AS other",
    "DETACH memory",
    "USE system",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '{file}'",
    "FORCE INSTALL json FROM core_nightly",
    "UPDATE EXTENSIONS",
    "CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "DROP SECRET s",
    "SET enable_external_access = true",
    "SET GLOBAL enable_external_access = true",
    "RESET lock_configuration",
    "SET memory_limit = '100GB'",
    "SET VARIABLE a = 1",
    "PRAGMA enable_profiling = 'json'",
    "PRAGMA database_list",
    "PRAGMA version",
    "PRAGMA table_info('records')",
    "CALL pragma_version()",
    "CALL enable_logging()",
    "CHECKPOINT",
    "FORCE CHECKPOINT",
    "VACUUM",
    "ANALYZE",
    "INSERT INTO records SELECT * FROM records",
    "UPDATE records SET submitter = 'me'",
    "DELETE FROM records",
    "TRUNCATE records",
    "MERGE INTO records USING records AS r ON false WHEN NOT MATCHED THEN INSERT BY NAME",
    "WITH x AS (INSERT INTO persons VALUES ('a', 'b') RETURNING *) SELECT * FROM x",
    "SELECT * FROM (WITH x AS (DELETE FROM records RETURNING *) SELECT * FROM x)",
    "SELECT * FROM (INSERT INTO persons VALUES ('a', 'b') RETURNING *)",
    "CREATE VIEW records AS SELECT 1",
    "CREATE OR REPLACE VIEW actions AS SELECT 1",
    "CREATE TEMP VIEW records AS SELECT 1",
    "CREATE TABLE t (i INTEGER)",
    "CREATE TEMP TABLE records AS SELECT 1 AS seq",
    "CREATE MACRO lower(x) AS 'nothing to see'",
    "CREATE TYPE t AS ENUM ('a')",
    "CREATE SEQUENCE s",
    "CREATE INDEX i ON records (seq)",
    "CREATE SCHEMA s",
    "CREATE TRIGGER t AFTER INSERT ON records FOR EACH ROW SELECT 1",
    "DROP TABLE records",
    "DROP VIEW actions",
    "ALTER TABLE records RENAME TO gone",
    "COMMENT ON TABLE records IS 'x'",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "DEALLOCATE p",
    "EXPLAIN SELECT 1",
    "EXPLAIN ANALYZE SELECT 1",
    "CONNECT 'postgres://127.0.0.1/x'",
    "SELECT 1; DROP TABLE records",
    "SELECT 1; SELECT 2",
    "SELECT 1) ; DROP TABLE records; SELECT * FROM (SELECT 1",
    "SELECT 1) AS a, (SELECT 2",
    "SELECT 1 -- \n); DROP TABLE records",
    "SELECT 1 /* ",
    "",
    ";",
    "-- nothing",
    "SELECT * FROM pandas_frame",
    "SELECT * FROM sys",
    "SELECT * FROM python_scan(1)",
    "SELECT * FROM arrow_scan(1, 2, 3)",
    "SELECT * FROM pandas_scan(1)",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT * FROM read_text(''{file}'')'))",
    "SELECT * FROM seq_scan('{file}')",
    "SELECT * FROM enable_logging(storage = 'file')",
    "SELECT nextval('s')",
    "SELECT write_log('x', disable_logging := true) FROM missing",
]
# These are answered; what matters is what they do not say.
HARMLESS = [
    "SELECT * FROM duckdb_databases()",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_extensions()",
    "SELECT * FROM duckdb_temporary_files()",
    "SELECT * FROM duckdb_memory()",
    "SELECT * FROM duckdb_tables()",
    "SELECT * FROM duckdb_views()",
    "SELECT * FROM duckdb_variables()",
    "SELECT * FROM duckdb_logs()",
    "SELECT * FROM duckdb_functions() WHERE function_name LIKE '%env%'",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM pg_catalog.pg_settings",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM pragma_database_list",
    "SELECT * FROM pragma_database_size()",
    "SELECT current_setting('allowed_paths')",
    "SELECT current_setting('temp_directory'), current_setting('secret_directory'), current_setting('extension_directory')",
    "SELECT current_database(), current_schema(), current_user, version()",
    "SELECT * FROM (SHOW ALL TABLES)",
    "SELECT * FROM (DESCRIBE records)",
    "SELECT * FROM which_secret('s3://x', 's3')",
    "SELECT setseed(0.5)",
    "SELECT * FROM checkpoint()",
    "SELECT * FROM force_checkpoint()",
    "SELECT * FROM test_all_types()",
]


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("canary") / "secret.txt"
    path.write_text(f"{CANARY}\n", encoding="utf-8")
    os.environ[CANARY_VARIABLE] = CANARY  # before the worker is started
    yield path
    del os.environ[CANARY_VARIABLE]


@pytest.fixture(scope="module")
def asked(canary: Path, desk: Desk) -> Desk:
    desk.post(*[action(n, tool={"name": "read_file"}) for n in range(3)])
    return desk


def written(sql: str, canary: Path) -> str:
    values = {
        "file": canary,
        "folder": canary.parent,
        "out": canary.parent / "out",
        "variable": CANARY_VARIABLE,
    }
    for name, value in values.items():
        sql = sql.replace(f"{{{name}}}", str(value))
    return sql


def untouched(desk: Desk) -> list:
    return desk.ask(
        "SELECT (SELECT count(*) FROM records), (SELECT count(DISTINCT leaf_hash) FROM records), (SELECT count(*) FROM actions),"
        " (SELECT count(*) FROM persons), lower('A'), current_setting('enable_external_access'),"
        " (SELECT list_sort(list(table_name)) FROM duckdb_tables()), (SELECT count(*) FROM duckdb_databases())"
    )


def test_the_table_of_hostile_statements_is_long_enough():
    assert len(set(REFUSED)) >= 100


@pytest.mark.parametrize("sql", REFUSED)
def test_a_hostile_statement_is_refused_and_nothing_has_changed(asked: Desk, canary: Path, sql: str):
    before = untouched(asked)
    with pytest.raises(LedgerError) as refusal:
        asked.run(written(sql, canary))
    assert refusal.value.code in {Code.QUERY_REFUSED, Code.QUERY_FAILED}
    assert CANARY not in refusal.value.detail
    assert untouched(asked) == before
    assert sorted(path.name for path in canary.parent.iterdir()) == ["secret.txt"]


@pytest.mark.parametrize("sql", HARMLESS)
def test_an_inquisitive_statement_learns_no_secret_and_no_path_of_the_server(
    asked: Desk, canary: Path, sql: str
):
    here = Path(__file__).resolve().parent.parent.parent
    for media in MEDIA_TYPES:
        try:
            body = asked.run(sql, media=media).body
        except LedgerError as refusal:
            assert refusal.code == Code.QUERY_FAILED  # noqa: PT017 - not every function has this name in every DuckDB
            body = refusal.detail.encode()
        for secret in (CANARY, str(here), str(Path.home()), str(canary.parent), str(asked.log.anchored())):
            assert secret.encode() not in body


def test_the_worker_has_no_environment_of_the_server_and_opens_nothing(asked: Desk):
    assert asked.ask("SELECT 1") == [[1]]
    worker = asked.service._worker
    assert worker is not None
    process = Path(f"/proc/{worker._process.pid}")
    if not process.is_dir():
        pytest.skip("no /proc here")
    assert CANARY.encode() not in (process / "environ").read_bytes()
    limits = (process / "limits").read_text()
    for name in ("Max file size", "Max core file size", "Max open files"):
        assert re.search(rf"^{name} +0 +0 ", limits, re.MULTILINE), name
    assert int((process / "stat").read_text().rsplit(")", 1)[1].split()[16]) >= 10  # nice
