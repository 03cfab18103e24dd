"""Measure an environment that holds only the core: its size, and how fast it imports.

Run with the environment's own Python. Sizes include compiled bytecode; pip and
setuptools, which a new environment may hold, are not the core's.
"""

import statistics
import subprocess
import sys
import sysconfig
import time
from importlib.metadata import distributions
from pathlib import Path

INSTALL_MB_MAX = 60
IMPORT_S_MAX = 0.15
RUNS = 9
NOT_OURS = {"pip", "setuptools", "wheel"}


def megabytes_by_distribution() -> dict[str, float]:
    """Return what each installed distribution takes, in MB."""
    sizes: dict[str, float] = {}
    for found in distributions(path=[sysconfig.get_path("purelib")]):
        if found.metadata["Name"] in NOT_OURS:
            continue
        paths = {Path(str(file.locate())) for file in found.files or []}
        # Installers differ in whether they list the bytecode that they compile.
        compiled = {
            cached
            for path in paths
            if path.suffix == ".py"
            for cached in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc")
        }
        total = sum(p.stat().st_size for p in paths | compiled if p.is_file())
        sizes[found.metadata["Name"]] = total / 1e6
    return sizes


def seconds(code: str) -> float:
    """Return the median time of an interpreter that runs `code`."""
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-I", "-c", code], check=True)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    """Print the figures; exit non-zero where one is past its bound."""
    sizes = megabytes_by_distribution()
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"{size:8.2f} MB  {name}")
    size = sum(sizes.values())
    bare = seconds("pass")
    root = seconds("import bus") - bare
    whole = seconds("from bus import Bus") - bare
    print(f"install {size:.1f} MB, at most {INSTALL_MB_MAX}")
    print(f"import bus {root:.3f} s, at most {IMPORT_S_MAX}")
    print(f"from bus import Bus {whole:.3f} s")
    if size > INSTALL_MB_MAX or root > IMPORT_S_MAX:
        sys.exit("past a bound")


if __name__ == "__main__":
    main()
