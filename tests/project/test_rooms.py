"""Which room may use which library: beside the import-linter contract, which says which room may use which room."""

import ast
import sys

import pytest

from tests.project.tree import place, python

# A library that is not named here may be used by no room; one that is, by these files or folders alone.
ALLOWED: dict[str, tuple[str, ...]] = {
    "nacl": ("ledger/core/ed25519.py",),
    "msgspec": (
        "ledger/records",
        "ledger/client",
        "ledger/ingest",
        "ledger/storage",
        "ledger/upkeep",
        "ledger/forensics",
        "ledger/trust",
        "ledger/log/access.py",
        "ledger/alerts",
        "ledger/api",
        "ledger/gateway",
        "ledger/cli",
    ),
    "jiter": ("ledger/records",),
    "joserfc": ("ledger/trust/jwt.py", "ledger/trust/jwks.py"),
    "duckdb": ("ledger/storage", "ledger/audit", "ledger/forensics"),
    "pyarrow": (
        "ledger/storage",
        "ledger/log",
        "ledger/audit",
        "ledger/upkeep",
        "ledger/forensics",
        "ledger/ingest/arrow",
        "ledger/client/tables.py",
    ),
    "fastapi": ("ledger/api",),
    "starlette": (
        "ledger/api",
        "ledger/client/adapters/ray_serve.py",
    ),
    "pydantic": ("ledger/api", "ledger/client/adapters/mcp_server.py", "ledger/client/adapters/fastmcp.py"),
    "numpy": ("ledger/storage", "ledger/audit"),
    "boto3": ("ledger/storage/objects.py",),
    "botocore": ("ledger/storage/objects.py",),
    "zstandard": ("ledger/api", "ledger/cli"),
    "opentelemetry": (
        "ledger/telemetry",
        "ledger/ingest/otlp",
        "ledger/api/otlp.py",
        "ledger/alerts/otlp.py",
        "ledger/client/adapters/otel.py",
    ),
    "google": ("ledger/ingest/otlp", "ledger/client/adapters/a2a.py", "ledger/api/otlp.py"),
    "uvicorn": ("ledger/api/serving.py", "ledger/gateway/serving.py"),
    "h11": ("ledger/gateway/serving.py",),  # uvicorn's own parser: how far a request has come
    "httpx": ("ledger/cli", "ledger/client", "ledger/gateway"),
    # agent frameworks, each by its own adapter
    "agent_framework": ("ledger/client/adapters/agent_framework.py",),
    "agents": ("ledger/client/adapters/openai_agents.py", "ledger/client/adapters/openai_agents_hooks.py"),
    "langchain": ("ledger/client/adapters/langchain.py",),
    "langchain_core": ("ledger/client/adapters/langchain.py",),
    "langgraph": ("ledger/client/adapters/langchain.py",),
    "mcp": ("ledger/client/adapters/mcp_server.py", "ledger/client/adapters/fastmcp.py"),
    "mcp_types": ("ledger/client/adapters/mcp_server.py", "ledger/client/adapters/fastmcp.py"),
    "a2a": ("ledger/client/adapters/a2a.py",),
    "agent_os": ("ledger/client/adapters/agt.py",),
    "openai": ("ledger/client/adapters/azure_ai.py",),
    "ray": ("ledger/client/adapters/ray_serve.py",),
    "fastmcp": ("ledger/client/adapters/fastmcp.py",),
    "pydantic_ai": ("ledger/client/adapters/pydantic_ai.py",),
    "semantic_kernel": ("ledger/client/adapters/semantic_kernel.py",),
    "crewai": ("ledger/client/adapters/crewai.py",),
    "autogen_agentchat": ("ledger/client/adapters/autogen.py",),
    "autogen_core": ("ledger/client/adapters/autogen.py", "ledger/client/adapters/autogen_tools.py"),
    "ag2": ("ledger/client/adapters/ag2.py",),
    "autogen": ("ledger/client/adapters/ag2_classic.py",),
    "typer": ("ledger/cli",),
    "click": ("ledger/cli",),
    "rich": ("ledger/cli",),
    "prompt_toolkit": ("ledger/cli/shell.py", "ledger/cli/completing.py"),
}


def imports() -> list[tuple[str, str, int]]:
    """Top-level package, file, line of every import of something that is neither the project nor the standard library."""
    found = []
    for path, text in python("ledger"):
        for node in ast.walk(ast.parse(text)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            packages = {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"ledger"}
            found += [(package, place(path), node.lineno) for package in packages]
    return found


def test_every_library_is_used_only_where_it_belongs():
    strays = [
        f"{file}:{line} imports {package}"
        for package, file, line in imports()
        if not any(file == home or file.startswith(f"{home}/") for home in ALLOWED.get(package, ()))
    ]
    assert strays == []


def test_core_is_standard_library_and_one_module_of_signatures():
    assert {(package, file) for package, file, _ in imports() if file.startswith("ledger/core/")} <= {
        ("nacl", "ledger/core/ed25519.py")
    }


@pytest.mark.parametrize(
    "module", ["os", "io", "pathlib", "socket", "subprocess", "time", "random", "urllib", "sqlite3"]
)
def test_core_knows_no_disk_no_network_and_no_clock(module):
    users = [
        place(path, node.lineno)
        for path, text in python("ledger/core")
        for node in ast.walk(ast.parse(text))
        if (isinstance(node, ast.Import) and module in {alias.name.split(".")[0] for alias in node.names})
        or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == module)
    ]
    assert users == []
