"""Our generator against a plain one: `python -m benchmarks.generate_speed --ratings 100000 1000000 5000000`.

The plain one is the tests' second implementation of the reference's semantics: lists and loops, user by user, and
protobufs written one at a time. Both read the same files, write the same compression, and must give the same examples.
Each runs in a process of its own, which reads the examples back only when time and memory are taken.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import (
    describe_machine,
    give_result,
    growth_exponent,
    markdown_table,
    measure,
    positive_int,
)
from benchmarks.synthetic import write_ml_1m_like
from data.command import CommandParser, run_command
from data.environment import prepare_environment
from data.options import GenerateOptions
from data.user_files import user_path

_SEED = 42
_PLAIN = "plain"
_OURS = "ours"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(lambda: _run(_parser().parse_args(arguments)))


def _run(options: argparse.Namespace) -> None:
    if options.only:
        give_result(_generate(options.only, options.source, options.output))
    else:
        _compare(options.ratings, options.source)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="python -m benchmarks.generate_speed", description=__doc__)
    parser.add_argument("--ratings", type=positive_int, nargs="+", default=[100_000, 1_000_000, 5_000_000], metavar="N")
    parser.add_argument("--source", type=user_path, help="a real MovieLens-1M folder in place of synthetic ratings")
    # How the benchmark calls itself, to measure each generator in a process of its own.
    parser.add_argument("--only", choices=(_PLAIN, _OURS), help=argparse.SUPPRESS)
    parser.add_argument("--output", type=user_path, help=argparse.SUPPRESS)
    return parser


def _compare(sizes: Sequence[int], source: Path | None) -> None:
    rows = []
    ours: list[dict[str, Any]] = []
    for size in sizes if source is None else [0]:
        with tempfile.TemporaryDirectory() as folder:
            release = source or Path(folder) / "release"
            if source is None:
                write_ml_1m_like(release, size)
            said = {name: _measure(name, release, Path(folder) / name) for name in (_OURS, _PLAIN)}
        if said[_OURS]["digest"] != said[_PLAIN]["digest"]:
            raise RuntimeError("the two generators made different examples")
        ours.append(said[_OURS])
        for name, result in said.items():
            rows.append(
                [
                    f"{said[_OURS]['ratings']:,} ratings, {name}",
                    f"{result['import_seconds']:.1f}",
                    f"{result['seconds']:.1f}",
                    f"{result['cpu_seconds']:.1f}",
                    f"{result['peak_mib']:.0f}",
                    f"{said[_PLAIN]['seconds'] / result['seconds']:.1f}",
                ]
            )
    header = ["generator", "imports, s", "then, s", "CPU, s", "peak MiB", "times faster, imports apart"]
    print(f"\n{describe_machine()}\n\n{markdown_table(header, rows)}")
    if len(ours) > 1:
        counted = [result["ratings"] for result in ours]
        exponents = [growth_exponent(counted, [result[key] for result in ours]) for key in ("seconds", "cpu_seconds")]
        print("\nour seconds grow with the ratings to the power of {:.2f}, CPU seconds {:.2f}".format(*exponents))


def _measure(name: str, release: Path, output: Path) -> dict[str, Any]:
    """Generate in a process of its own, and return what that said."""
    arguments = ("--only", name, "--source", str(release.resolve()), "--output", str(output))
    return measure("benchmarks.generate_speed", *arguments).result


def _generate(name: str, source: Path, output: Path) -> dict[str, Any]:
    """Generate in this process; return its cost, the number of ratings and a digest of the examples in their order."""
    prepare_environment()
    options = GenerateOptions(release="ml-1m", seed=_SEED)
    started = time.monotonic()
    generate = _import_ours() if name == _OURS else _import_plain()
    imported, cpu_imported = time.monotonic(), time.process_time()
    num_ratings = generate(options, source, output)
    cost = {
        "import_seconds": imported - started,
        "seconds": time.monotonic() - imported,
        "cpu_seconds": time.process_time() - cpu_imported,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    from benchmarks.plain_generator import digest_of_examples

    return {**cost, "ratings": num_ratings, "digest": digest_of_examples(output)}


def _import_ours() -> Callable[[GenerateOptions, Path, Path], int]:
    """Import all that the generator needs, also what it imports only when it gets there."""
    import data.local_generation  # noqa: F401
    import data.releases.parsing  # noqa: F401
    import data.releases.sample  # noqa: F401
    from data.generate import generate

    return lambda options, source, output: generate(options, output, source=source).counts.ratings


def _import_plain() -> Callable[[GenerateOptions, Path, Path], int]:
    from benchmarks.plain_generator import generate

    return generate


if __name__ == "__main__":
    sys.exit(main())
