"""What a team writes in an afternoon: FastAPI, and an INSERT of the same JSON into DuckDB, committed per request; and an empty route."""

import asyncio
import json
import os
import sys
import threading
from pathlib import Path

import duckdb
import uvicorn
from fastapi import FastAPI, Request
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

COLUMNS = ("id", "time", "type", "user", "tool", "arguments", "agent", "resource", "status", "record")


def row(value: dict) -> tuple:
    return (
        value["id"],
        value["time"],
        value["type"],
        value["request"]["user"],
        value["tool"]["name"],
        json.dumps(value["tool"]["arguments"]),
        value["identity"]["agent_id"],
        value["resource"]["id"],
        value["outcome"]["status"],
        json.dumps(value),
    )


def make(folder: Path) -> FastAPI:
    app = FastAPI()
    connection = duckdb.connect(str(folder / "plain.duckdb"))
    columns = ", ".join(f'"{name}" VARCHAR' for name in COLUMNS)
    connection.execute(f"CREATE TABLE records ({columns}, PRIMARY KEY (id))")
    writing = threading.Lock()

    def insert(rows: list[tuple]) -> None:
        marks = ", ".join(["(" + ", ".join("?" * len(COLUMNS)) + ")"] * len(rows))
        with writing:
            connection.execute(f"INSERT INTO records VALUES {marks}", [v for r in rows for v in r])

    @app.post("/v1/records", status_code=201)
    async def records(request: Request) -> dict:
        body = await request.body()
        rows = [row(json.loads(line)) for line in body.split(b"\n")]
        await asyncio.to_thread(insert, rows)
        return {"appended": len(rows)}

    @app.post("/empty")
    async def empty() -> dict:
        return {}

    @app.get("/healthz")
    async def health() -> dict:
        return {}

    return app


class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        (folder / "serving.json").write_text(json.dumps({"url": f"http://{host}:{port}", "pid": os.getpid()}))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True)
    app = make(folder)
    Server(uvicorn.Config(app, port=0, log_config=None, access_log=False, http=HttpToolsProtocol)).run()
