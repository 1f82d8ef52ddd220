"""Our generator against a plain one: `python -m benchmarks.generate_speed --ratings 100000 1000000 5000000`.

The plain one is the tests' second implementation of the reference's semantics: lists and loops, user by user, and
protobufs written one at a time. Both read the same files, write the same compression, and must give the same examples.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import (
    Measurement,
    describe_machine,
    give_result,
    growth_exponent,
    markdown_table,
    measure,
    positive_int,
)
from benchmarks.synthetic import write_ml_1m_like
from data.environment import prepare_environment

_SEED = 42
_PLAIN = "plain"
_OURS = "ours"
_IMPORTS = "imports"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generate_speed", description=__doc__)
    parser.add_argument("--ratings", type=positive_int, nargs="+", default=[100_000, 1_000_000, 5_000_000], metavar="N")
    parser.add_argument("--source", type=Path, help="a real MovieLens-1M folder in place of synthetic ratings")
    # How the benchmark calls itself, to measure each generator in a process of its own.
    parser.add_argument("--only", choices=(_PLAIN, _OURS, _IMPORTS), help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.only:
        give_result(_generate(options.only, options.source, options.output))
        return 0
    _compare(options.ratings, options.source)
    return 0


def _compare(sizes: Sequence[int], source: Path | None) -> None:
    rows = []
    costs: list[float] = []
    counted: list[int] = []
    imports = _measure(_IMPORTS, Path(), Path())
    for size in sizes if source is None else [0]:
        with tempfile.TemporaryDirectory() as folder:
            release = source or Path(folder) / "release"
            if source is None:
                write_ml_1m_like(release, size)
            results = {name: _measure(name, release, Path(folder) / name) for name in (_OURS, _PLAIN)}
            said = {name: result.result for name, result in results.items()}
            if said[_OURS]["digest"] != said[_PLAIN]["digest"]:
                raise RuntimeError("the two generators made different examples")
            ratings = said[_OURS]["ratings"]
        costs.append(said[_OURS]["cpu_seconds"])
        counted.append(ratings)
        for name, result in results.items():
            rows.append(
                [
                    f"{ratings:,} ratings, {name}",
                    f"{said[name]['seconds']:.1f}",
                    f"{said[name]['cpu_seconds']:.1f}",
                    f"{result.peak_mib:.0f}",
                    f"{said[_PLAIN]['seconds'] / said[name]['seconds']:.1f}",
                ]
            )
    print(f"\n{describe_machine()}; seconds after the imports, which take {imports.seconds:.1f} s\n")
    print(markdown_table(["generator", "seconds", "CPU seconds", "peak MiB", "times faster"], rows))
    if len(counted) > 1:
        print(f"\nour CPU seconds grow with the ratings to the power of {growth_exponent(counted, costs):.2f}")


def _measure(name: str, release: Path, output: Path) -> Measurement:
    return measure(
        "benchmarks.generate_speed", "--only", name, "--source", str(release.resolve()), "--output", str(output)
    )


def _generate(name: str, source: Path, output: Path) -> dict[str, object]:
    """Generate in this process; return seconds, ratings and a digest of the examples in their order."""
    prepare_environment()
    # Everything that either needs is imported before the clock starts.
    import data.flow  # noqa: F401
    from benchmarks import plain_generator
    from data.generate import generate
    from data.options import GenerateOptions

    options = GenerateOptions(release="ml-1m", seed=_SEED)
    if name == _IMPORTS:
        return {}
    started, cpu_started = time.monotonic(), time.process_time()
    if name == _OURS:
        ratings = generate(options, output, source=source).counts.ratings
    else:
        ratings = plain_generator.generate(options, source, output)
    seconds, cpu_seconds = time.monotonic() - started, time.process_time() - cpu_started
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "ratings": ratings,
        "digest": plain_generator.digest_of_examples(output),
    }


if __name__ == "__main__":
    sys.exit(main())
