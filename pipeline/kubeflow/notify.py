"""The last task of a run: `python -m pipeline.kubeflow.notify` posts one line of JSON that says how the run ended.

It fails where the run did, so that the backend calls the run failed, and for nothing else: of an address that doesn't
answer only its log speaks.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data.command import CommandParser
from pipeline.kubeflow.task_states import SUCCEEDED, RunEnd, conclude, locate, read_states

WEBHOOK_VARIABLE = "NEXT_MOVIE_WEBHOOK"
"""Environment variable with the address, from a secret: it is shown nowhere."""

_ATTEMPTS = 3
_SECONDS = 10.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Post how the run ended, and return 1 if it failed."""
    options = _parser().parse_args(arguments)
    outputs = json.loads(options.executor_input)["outputs"].get("artifacts", {})
    uris = [artifact.get("uri", "") for output in outputs.values() for artifact in output["artifacts"]]
    located = locate(uris, options.states.name)
    run_id = located[0] if located is not None else ""
    end = conclude(read_states(options.states, run_id), options.tasks, options.never_cached)
    line = json.dumps(describe(end, options.states.name, run_id, options.page), ensure_ascii=False)
    print(line)
    post(os.environ.get(WEBHOOK_VARIABLE, ""), line.encode("utf-8"))
    return 0 if end.state == SUCCEEDED else 1


def describe(end: RunEnd, pipeline: str, run_id: str, page: str | None) -> dict[str, Any]:
    """Return what is posted.

    Parameters
    ----------
    end
        How the run ended.
    pipeline, run_id
        The run.
    page
        URL of Kubeflow's pages; None where no link is wanted.
    """
    return {
        "pipeline": pipeline,
        "run_id": run_id,
        "state": end.state,
        "decision": end.metrics.get("decision"),
        "failed_step": end.failed_task,
        "reason": end.reason or None,
        "link": f"{page.rstrip('/')}/#/runs/details/{run_id}" if page else None,
    }


def post(address: str, content: bytes, *, pause_seconds: float = 2.0) -> bool:
    """Post JSON, and return whether it was taken; what went wrong is printed, without the address."""
    if not address.startswith(("http://", "https://")):
        print(f"not posted: {WEBHOOK_VARIABLE} holds no http:// or https:// address", file=sys.stderr)
        return False
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            request = urllib.request.Request(  # noqa: S310
                address.strip(), content, {"Content-Type": "application/json"}, method="POST"
            )
            with urllib.request.urlopen(request, timeout=_SECONDS):  # noqa: S310
                return True
        except urllib.error.HTTPError as error:
            reason = f"the answer is {error.code}"
        except (OSError, ValueError) as error:
            # What it says may hold the address.
            reason = type(getattr(error, "reason", error)).__name__
        print(f"not posted, attempt {attempt} of {_ATTEMPTS}: {reason}", file=sys.stderr)
        if attempt < _ATTEMPTS:
            time.sleep(pause_seconds)
    return False


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="python -m pipeline.kubeflow.notify", allow_abbrev=False)
    parser.add_argument("--executor_input", required=True)
    parser.add_argument("--states", required=True, type=Path, metavar="FOLDER")
    parser.add_argument("--tasks", required=True, type=_names, metavar="NAME,NAME")
    parser.add_argument("--never_cached", required=True, type=_names, metavar="NAME,NAME")
    parser.add_argument("--page", metavar="URL")
    return parser


if __name__ == "__main__":
    sys.exit(main())
