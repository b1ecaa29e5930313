"""What a number was measured on: said with every one that is kept. No names of hosts, no paths."""

import importlib.metadata
import os
import platform
from pathlib import Path


def machine(folder: Path) -> dict[str, object]:
    """Processor, memory, kernel, the file system of `folder`, and the versions that matter."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(pages / 2**30, 1),
        "kernel": platform.release().partition("-")[0],
        "file_system": _file_system(folder.resolve()),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        **{name: importlib.metadata.version(name) for name in ("duckdb", "pyarrow", "pynacl", "uvloop")},
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _file_system(folder: Path) -> str:
    """Its type: that of the longest mount point above the folder."""
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    above = [(len(place), kind) for _, place, kind, *_ in mounts if folder.is_relative_to(place)]
    return max(above)[1]
