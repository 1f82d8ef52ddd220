"""Build the programs that tests marked `engines` run against, and print where they lie.

They are built from pinned versions by Go, once, into a folder outside the checkout: `NEXT_MOVIE_ENGINES`, or
`~/.cache/next-movie-engines`. Nothing of the product needs them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

CACHE_VARIABLE = "NEXT_MOVIE_ENGINES"


@dataclass(frozen=True)
class Engine:
    """A program that Go builds.

    Attributes
    ----------
    name
        Of the program's file.
    module, version, checksum
        The Go module, and its line in `go.sum`.
    package
        The package of the module that is the program.
    what
        What it is, for `--help`.
    """

    name: str
    module: str
    version: str
    checksum: str
    package: str
    what: str


ENGINES = {
    engine.name: engine
    for engine in (
        Engine(
            name="weed",
            module="github.com/seaweedfs/seaweedfs",
            version="v0.0.0-20261109003541-7506e5f91cd6",
            checksum="h1:LOYZFToHq9F7pSR6lkPGfkM8RmHlVFrzndKdhmNZjrU=",
            package="github.com/seaweedfs/seaweedfs/weed",
            what="SeaweedFS, the object store that Kubeflow Pipelines installs since 2.15 (Apache 2.0)",
        ),
        Engine(
            name="prism",
            module="github.com/apache/beam/sdks/v2",
            version="v2.64.0",
            checksum="h1:KEsCCu8jTaym2V7jXOmCnmaQ8ZjZL3AqgCrAoOoJZao=",
            package="github.com/apache/beam/sdks/v2/go/cmd/prism",
            what="Prism, Beam's own runner of jobs, of the version that requirements.txt pins (Apache 2.0)",
        ),
        Engine(
            name="later-prism",
            module="github.com/apache/beam/sdks/v2",
            version="v2.71.0",
            checksum="h1:wn+lj+v/BPYAZNrYqpYqCoMWP58FLpeCpG5+v1DAf6M=",
            package="github.com/apache/beam/sdks/v2/go/cmd/prism",
            what="Prism of a later version, which runs TFX's steps as well (Apache 2.0)",
        ),
    )
}


class EngineUnavailableError(Exception):
    """An engine is not built and can't be built here; the message says why."""


def find(name: str) -> Path:
    """Return the built program.

    Raises
    ------
    EngineUnavailableError
        It was not built before.
    """
    program = _folder(ENGINES[name]) / name
    if not program.is_file():
        raise EngineUnavailableError(f"{name} is not built: `make test-engines` builds it, and needs Go")
    return program


def build(name: str) -> Path:
    """Build a program if it was not built before, and return it.

    Raises
    ------
    EngineUnavailableError
        There is no Go, the module can't be fetched or built, or is not the one that was pinned.
    """
    engine = ENGINES[name]
    folder = _folder(engine)
    if (folder / name).is_file():
        return folder / name
    if shutil.which("go") is None:
        raise EngineUnavailableError(f"{name} can't be built: there is no Go (https://go.dev/doc/install)")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        _go(engine, scratch, "mod", "init", "engine")
        _go(engine, scratch, "get", f"{engine.package}@{engine.version}")
        wanted = f"{engine.module} {engine.version} {engine.checksum}"
        if wanted not in (Path(scratch) / "go.sum").read_text(encoding="utf-8").splitlines():
            raise EngineUnavailableError(
                f"{engine.module} {engine.version} has another checksum than {engine.checksum}"
            )
        _go(engine, scratch, "build", "-o", name, engine.package)
        folder.mkdir(exist_ok=True)
        (Path(scratch) / name).rename(folder / name)
    return folder / name


def _folder(engine: Engine) -> Path:
    cache = os.environ.get(CACHE_VARIABLE)
    home = Path(cache) if cache else Path.home() / ".cache" / "next-movie-engines"
    return home / f"{engine.name}-{engine.version}"


def _go(engine: Engine, folder: str, *arguments: str) -> None:
    done = subprocess.run(["go", *arguments], cwd=folder, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise EngineUnavailableError(f"{engine.name} can't be built: `go {' '.join(arguments)}` failed: {last}")


def main() -> int:
    """Build what the arguments name, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="; ".join(f"{e.name}: {e.what}" for e in ENGINES.values())
    )
    names = parser.parse_args().names or list(ENGINES)
    unknown = [name for name in names if name not in ENGINES]
    if unknown:
        parser.error(f"no engine {unknown[0]!r}: take one of {', '.join(ENGINES)}")
    for name in names:
        print(f"{name}: {_built_or_why_not(name)}")
    return 0


def _built_or_why_not(name: str) -> str:
    try:
        return str(build(name))
    except EngineUnavailableError as error:
        return f"skipped, {error}"


if __name__ == "__main__":
    raise SystemExit(main())
