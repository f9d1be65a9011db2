"""``make bench``: measures the named parts, or all, and tells their figures in a table."""

import argparse
import sys
import time
import traceback
from collections.abc import Sequence
from typing import TextIO

from bench import environment, machine, report
from bench.environment import Environment
from bench.parts import PARTS, Part
from bench.report import Figure, Result
from bench.scale import FULL, TINY, Scale
from portal.web.static_files import TOP

LOG = TOP / "build" / "bench.log"
RESULTS = TOP / "bench" / "results.md"
_ALL = ", ".join(part.name for part in PARTS)


def main(arguments: Sequence[str] | None = None) -> None:
    """Exit status 1 where a part could not be measured, 3 where a figure misses its goal."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"one of {_ALL}; all, if none is")
    parser.add_argument("--list", action="store_true", help="list the parts")
    parser.add_argument("--tiny", action="store_true", help="only see that they work, in seconds")
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.parts if name not in [part.name for part in PARTS]]:
        parser.error(f"there is no part {', '.join(unknown)}; the parts are {_ALL}")
    if asked.list:
        print("\n".join(f"{part.name:<14}{part.what}" for part in PARTS))
        return
    chosen = [part for part in PARTS if not asked.parts or part.name in asked.parts]
    sys.exit(_run(chosen, TINY if asked.tiny else FULL))


def _run(parts: Sequence[Part], scale: Scale) -> int:
    """Measure, and tell the figures; the exit status. In a tiny run no goal counts."""
    LOG.parent.mkdir(exist_ok=True)
    with LOG.open("w") as log, environment.start(log) as started:
        surroundings = machine.look(started.client.server_info()["version"])
        results = [_measure(part, started, scale, log) for part in parts]
    print(f"\n{report.tables(surroundings, results)}")
    failed = any(result.failure for result in results)
    if len(parts) == len(PARTS) and scale == FULL and not failed:
        RESULTS.write_text(report.document(surroundings, results))
        print(f"Written to {RESULTS.relative_to(TOP)}.")
    print(f"Log: {LOG.relative_to(TOP)}")
    missed = report.missed(results) if scale == FULL else []
    for line in missed:
        print(f"over its goal: {line}")
    return 1 if failed else 3 if missed else 0


def _measure(part: Part, started: Environment, scale: Scale, log: TextIO) -> Result:
    print(f"{part.name}: {part.what} ...", end=" ", flush=True)
    begin = time.perf_counter()
    figures: list[Figure] = []
    try:
        figures.extend(part.measure(started, scale))
    except Exception as error:  # the other figures are worth having
        traceback.print_exc(file=log)
        print("failed", flush=True)
        return Result(part.name, tuple(figures), f"{type(error).__name__}, see the log")
    print(f"{time.perf_counter() - begin:.0f} s", flush=True)
    return Result(part.name, tuple(figures))


if __name__ == "__main__":
    main()
