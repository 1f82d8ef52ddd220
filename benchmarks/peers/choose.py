"""Compare the peers' candidate options on train alone: `python -m benchmarks.peers.choose FOLDER`.

The folder is a data set that `python -m benchmarks.quality` or `python -m data.generate` wrote. A tenth of its train
windows is held out, to stop on and to compare by; the eval split is not looked at.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from data.command import CommandParser, run_command
from data.environment import prepare_environment
from data.user_files import user_path

_VALIDATION_SHARE = 0.1
_SEED = 42


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(lambda: _run(_parser().parse_args(arguments)))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m benchmarks.peers.choose", description="Compare the peers' options on held-out train windows."
    )
    parser.add_argument("windows", type=user_path, metavar="FOLDER", help="a generated data set")
    parser.add_argument(
        "--work-dir",
        type=user_path,
        default=Path("runs/benchmarks/peers/choose"),
        help="for files (default: %(default)s)",
    )
    return parser


def _run(options: argparse.Namespace) -> None:
    prepare_environment()
    compare(options.windows, options.work_dir)


def compare(windows: Path, work_dir: Path) -> None:
    """Fit each candidate of each peer, printing a row as soon as it is known."""
    from benchmarks.peers.environment import make_peer_environment
    from benchmarks.peers.scorer import fit_peer
    from benchmarks.peers.settings import CANDIDATES
    from benchmarks.windows import read_data_set
    from trainer_module.dataset import hold_out

    python = make_peer_environment()
    data = read_data_set(windows)
    fitted, validation = hold_out(data.train, _VALIDATION_SHARE, _SEED)
    print("| peer | options | epochs | validation recall@10 | s |\n| --- | --- | ---: | ---: | ---: |")
    for name, candidates in CANDIDATES.items():
        for candidate in candidates:
            peer = fit_peer(
                name,
                candidate,
                fitted,
                validation,
                validation.context[:1],
                data.num_movies,
                seed=_SEED,
                folder=work_dir / name,
                python=python,
            )
            print(
                f"| {name} | `{json.dumps(candidate)}` | {peer.epochs} | {peer.validation_recall:.4f} "
                f"| {peer.seconds:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    sys.exit(main())
