"""The published model under concurrent load, through real HTTP servers: `python -m benchmarks.load --minutes 3`.

Clients in threads ask for recommendations as fast as they are answered, each over its own connection, with histories
drawn from the model's catalogue. Every answer is looked at: a hundred movies, none of them from the history. Of several
servers each is put under load in turn, and before it asked what the others are asked: their answers must be the same.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from benchmarks.environments import TOOLS, make_environment
from benchmarks.harness import describe_machine, markdown_table, resident_mib
from benchmarks.http_server import PACKAGES, Server, running_serve_py, running_server
from data.command import CommandParser, run_command
from data.features import CONTEXT_MOVIE_ID
from data.releases.catalogue import CATALOGUE_FILE, Catalogue
from data.user_files import user_path
from pipeline.defaults import DEFAULT_SERVING
from serving.newest_model import newest_model, resolve_model

_ANSWERS = 100
_SERVERS = ("kserve", "serve")
_JSON = {"Content-Type": "application/json"}
_COMPARED = 50
"""Questions whose answers are compared between servers."""

_LONGEST_HISTORY = 50
_SHOWN_PERIODS = 6
_SEED = 42


@dataclass
class Tally:
    """What one client saw: `(second of the answer, milliseconds)` for each good answer, and what went wrong."""

    answers: list[tuple[float, float]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; its exit code is 1 if any request was not answered as it should be."""
    return run_command(lambda: _run(_parser().parse_args(arguments)))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument(
        "--model", type=user_path, help="a published version, or a folder of them (default: the newest)"
    )
    parser.add_argument(
        "--server",
        choices=(*_SERVERS, "all"),
        default=_SERVERS[0],
        help="KServe, this project's own, or all in turn (default: %(default)s)",
    )
    parser.add_argument("--rounds", type=int, default=1, help="how often each is put under load (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=3.0, help="of each time (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument(
        "--environment",
        type=user_path,
        default=TOOLS / "kserve",
        metavar="DIR",
        help="where the server's environment is, or is made (default: .tools/kserve)",
    )
    return parser


def _run(options: argparse.Namespace) -> int:
    model = resolve_model(options.model) if options.model else newest_model(DEFAULT_SERVING)
    movies = Catalogue.load(model / "assets.extra" / CATALOGUE_FILE).ids.tolist()
    names = list(_SERVERS) if options.server == "all" else [options.server]
    start = {"serve": lambda: running_serve_py(model)}
    if "kserve" in names:
        python = make_environment(options.environment, PACKAGES)
        start["kserve"] = lambda: running_server(python, model)
    load_before = os.getloadavg()[0]
    print(
        f"{datetime.now(timezone.utc):%Y-%m-%d}, {describe_machine()}, load average before {load_before:.1f}; "
        f"{len(movies):,} movies, {options.clients} clients, {60 * options.minutes:.0f} s each time\n"
    )
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    answers: dict[str, list[Any]] = {}
    errors: list[str] = []
    for number in range(options.rounds):
        # Whoever comes first one time comes last the next.
        for name in names if number % 2 == 0 else reversed(names):
            with start[name]() as server:
                answers[name], waits = _ask_all(server, movies)
                tallies, memory, seconds = put_under_load(server, movies, options.clients, 60 * options.minutes)
            first = f"first answer {waits[0]:.1f} ms, median of the next {len(waits) - 1} {median(waits[1:]):.1f} ms"
            print(f"{name}, round {number + 1}; {first}\n\n{make_table(tallies, memory, seconds)}\n", flush=True)
            found[name].append(throughput_and_p99(tallies, seconds))
            errors += [error for tally in tallies for error in tally.errors]
    print(f"{len(errors)} errors" + (f", the first: {errors[0]}" if errors else ""))
    if len(names) > 1:
        same = all(answer == answers[names[0]] for answer in answers.values())
        print(f"the answers to {_COMPARED} questions are {'the same' if same else 'NOT the same'}")
        _print_medians(found)
        return 0 if same and not errors else 1
    return 1 if errors else 0


def _print_medians(found: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    rates = {name: median(rate for rate, _ in rounds) for name, rounds in found.items()}
    rows = [
        [name, f"{rates[name]:.0f}", f"{median(p99 for _, p99 in rounds):.1f}", f"{rates[name] / rates['kserve']:.2f}"]
        for name, rounds in found.items()
    ]
    print(f"\n{markdown_table(['medians', 'answers/s', 'p99 ms', 'of KServe'], rows)}")


def throughput_and_p99(tallies: Sequence[Tally], seconds: float) -> tuple[float, float]:
    """Return answers a second, and the 99th percentile of milliseconds."""
    latencies = [milliseconds for tally in tallies for _, milliseconds in tally.answers]
    return len(latencies) / seconds, float(np.percentile(latencies, 99)) if latencies else 0.0


def _ask_all(server: Server, movies: list[int]) -> tuple[list[Any], list[float]]:
    """Return the answers to questions that are the same for every server, one after the other, and milliseconds."""
    chance = random.Random(_SEED)  # noqa: S311
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    answers, waits = [], []
    for _ in range(_COMPARED):
        before = time.monotonic()
        connection.request("POST", f"{server.model_path}:predict", _body(_draw(movies, chance)), _JSON)
        content = connection.getresponse().read()
        waits.append(1000 * (time.monotonic() - before))
        row = json.loads(content)["predictions"][0]
        answers.append((row["movie_id"], [float(np.float32(score)) for score in row["score"]]))
    connection.close()
    return answers, waits


def put_under_load(
    server: Server, movies: list[int], clients: int, seconds: float
) -> tuple[list[Tally], list[tuple[float, float]], float]:
    """Send requests from several threads until the time is over.

    Parameters
    ----------
    server
        Its memory is watched.
    movies
        Ids that histories are drawn from.
    clients
        Connections that ask at the same time.
    seconds
        How long.

    Returns
    -------
    tuple
        A tally for each client; `(second, MiB)` of the server's resident memory; the seconds that it took.
    """
    started = time.monotonic()
    tallies = [Tally() for _ in range(clients)]
    threads = [
        threading.Thread(target=_ask, args=(server, movies, random.Random(_SEED + number), tally, started, seconds))  # noqa: S311
        for number, tally in enumerate(tallies)
    ]
    for thread in threads:
        thread.start()
    memory = []
    while any(thread.is_alive() for thread in threads):
        memory.append((time.monotonic() - started, resident_mib(server.pid)))
        time.sleep(1)
    return tallies, memory, time.monotonic() - started


def make_table(tallies: Sequence[Tally], memory: Sequence[tuple[float, float]], seconds: float) -> str:
    """Return a table of throughput, latencies, errors and memory over time, and over all of it."""
    answers = np.array([answer for tally in tallies for answer in tally.answers], float).reshape(-1, 2)
    errors = sum(len(tally.errors) for tally in tallies)
    edges = np.linspace(0, seconds, _SHOWN_PERIODS + 1)
    rows = []
    for start, end in itertools.pairwise(edges):
        inside = answers[(answers[:, 0] >= start) & (answers[:, 0] < end), 1]
        resident = [mib for second, mib in memory if start <= second < end]
        rows.append([f"{start:.0f}-{end:.0f} s", *_figures(inside, end - start), "", f"{max(resident, default=0):.0f}"])
    peak = max((mib for _, mib in memory), default=0)
    rows.append(["all", *_figures(answers[:, 1], seconds), str(errors), f"{peak:.0f}"])
    return markdown_table(["time", "answers/s", "p50 ms", "p99 ms", "max ms", "errors", "memory MiB"], rows)


def _figures(latencies: np.ndarray, seconds: float) -> list[str]:
    if not len(latencies):
        return ["0", "", "", ""]
    p50, p99 = np.percentile(latencies, [50, 99])
    return [f"{len(latencies) / seconds:.0f}", f"{p50:.1f}", f"{p99:.1f}", f"{latencies.max():.0f}"]


def _draw(movies: list[int], chance: random.Random) -> list[int]:
    return chance.sample(movies, chance.randint(1, min(_LONGEST_HISTORY, len(movies) // 4)))


def _body(history: list[int]) -> str:
    return json.dumps({"instances": [{CONTEXT_MOVIE_ID: history}]})


def _ask(
    server: Server, movies: list[int], chance: random.Random, tally: Tally, started: float, seconds: float
) -> None:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    while time.monotonic() - started < seconds:
        history = _draw(movies, chance)
        body = _body(history)
        before = time.monotonic()
        try:
            connection.request("POST", f"{server.model_path}:predict", body, _JSON)
            response = connection.getresponse()
            content = response.read()
            fault = _fault(response.status, content, history)
        except (OSError, http.client.HTTPException) as error:
            fault = f"{type(error).__name__}: {error}"
            connection.close()
        after = time.monotonic()
        if fault is None:
            tally.answers.append((after - started, 1000 * (after - before)))
        else:
            tally.errors.append(fault)
    connection.close()


def _fault(status: int, content: bytes, history: list[int]) -> str | None:
    """Return what is wrong with an answer; None if nothing is."""
    if status != http.client.OK:
        return f"status {status}: {content[:200]!r}"
    try:
        offered = json.loads(content)["predictions"][0]["movie_id"]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        return f"no answer: {type(error).__name__} in {content[:200]!r}"
    if len(set(offered)) != _ANSWERS:
        return f"{len(set(offered))} movies in place of {_ANSWERS}"
    return "a movie of the history is offered" if set(offered) & set(history) else None
