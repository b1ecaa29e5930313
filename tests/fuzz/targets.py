"""All targets, and in which module each is: under atheris every module that is imported is instrumented, which takes seconds."""

from importlib import import_module

from tests.fuzz.target import Target

WHERE = {
    "texts": (
        *("note", "vkey", "checkpoint", "policy", "invitation", "add-checkpoint", "witness-size", "receipt"),
        *("fork", "verification", "bundle", "tile-path", "entry", "canonical", "ranges"),
    ),
    "evidence": (
        *("zip", "evidence", "export", "evidence-files", "evidence-contents", "evidence-manifest"),
        *("segment-manifest", "stored-contents", "call", "call-receipt"),
    ),
    "records": (
        *("record", "sealed-record", "arrow", "ndjson", "agt", "hermes", "kubernetes", "openclaw", "ogp"),
        "cloudevents",
    ),
    "telemetry": ("otlp-traces", "otlp-logs", "otlp-traces-json", "otlp-logs-json", "trace-headers"),
    "trust": ("jwt", "jwks", "client-certificate"),
    "signing": ("signer-message", "signer-request", "agent-answer", "key-file"),
    "sql": ("sql", "question", "parameters", "cursor", "selection"),
    "files": (
        *("alerts", "indicators", "endpoint", "address", "tool-policy", "mcp-message", "sse", "jcs"),
        *("spool", "dump", "backup"),
    ),
}
NAMES = [name for names in WHERE.values() for name in names]


def load(name: str) -> Target:
    """The target of this name.

    Raises:
        KeyError: there is none.
    """
    for module, names in WHERE.items():
        if name in names:
            return {each.name: each for each in import_module(f"tests.fuzz.{module}").TARGETS}[name]
    raise KeyError(name)
