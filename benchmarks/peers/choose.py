"""Compare the peers' candidate options on train alone: `python -m benchmarks.peers.choose FOLDER`.

The folder is a data set that `python -m benchmarks.quality --peers` or `python -m data.generate --timelines` wrote. A
tenth of its train labels is held out, to stop on and to compare by; the eval split is not looked at.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers.settings import PEERS
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
    parser.add_argument("--peer", choices=[peer.name for peer in PEERS], help="one peer alone")
    parser.add_argument(
        "--work-dir",
        type=user_path,
        default=Path("runs/benchmarks/peers/choose"),
        help="for files (default: %(default)s)",
    )
    return parser


def _run(options: argparse.Namespace) -> None:
    prepare_environment()
    compare(options.windows, options.work_dir, options.peer)


def compare(windows: Path, work_dir: Path, name: str | None) -> None:
    """Fit each candidate of each peer, or of the one that is named, printing a row as soon as it is known."""
    from benchmarks.peers.environment import make_peer_environment
    from benchmarks.peers.scorer import fit_peer, hold_out_for
    from benchmarks.quality.windows import read_data_set

    data = read_data_set(windows)
    print("| peer | options | epochs | validation recall@10 | s |\n| --- | --- | ---: | ---: | ---: |")
    for peer in [peer for peer in PEERS if name in (None, peer.name)]:
        fitted, validation = hold_out_for(peer, peer.read(data), _VALIDATION_SHARE, _SEED)
        for candidate in peer.candidates:
            result = fit_peer(
                peer,
                candidate,
                fitted,
                validation,
                validation.context[:1],
                data.num_movies,
                seed=_SEED,
                folder=work_dir / peer.name,
                python=make_peer_environment(peer.library),
            )
            print(
                f"| {peer.name} | `{json.dumps(candidate)}` | {result.epochs} | {result.validation_recall:.4f} "
                f"| {result.seconds:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    sys.exit(main())
