"""Answer a search's questions by a study of Optuna's: `python -I ask_optuna.py REQUEST`.

A file that runs by itself, in an environment that holds Optuna and nothing of this project's. The request is JSON:

    {"file": the SQLite file of studies, "study": name, "seed": int, "prunes": bool,
     "space": {name: {"choices": [text, ...]} or {"low": number, "high": number, "log": bool}},
     "first": {name: value}, which is tried first, or null}

A range of whole numbers at both ends is one of whole numbers. It answers a line of JSON on standard input by one on
standard output, the first without being asked:

    (begun)                                 {"tried": trials so far}
    {"ask": null}                           {"number": int, "values": {...}}, or behind that {"value": float, "as": int}
                                            where an earlier trial had the same values: it is told already
    {"report": [number, step, value]}       {"prune": bool}
    {"tell": [number, value or null]}       {"told": number}; null stands for a trial that failed
    {"prune": number}                       {"told": number}
    {"best": null}                          {"number": int, "value": float, "values": {...}}; null if none is complete

and ends when its input does. A trial that the end of a search cut off is tried again, and counts once.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial, TrialState

_CUT_OFF = "cut_off"
_RANDOM_TRIALS = 5
"""Before Optuna's sampler goes by what it was told, and its pruner by the others' medians."""


class Asked:
    """A study in a file, and the trials that are under way."""

    def __init__(self, request: dict[str, Any]) -> None:
        storage = optuna.storages.RDBStorage(f"sqlite:///{request['file']}")
        self._study = optuna.create_study(
            storage=storage,
            study_name=request["study"],
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=_RANDOM_TRIALS)
            if request["prunes"]
            else optuna.pruners.NopPruner(),
        )
        before = self._study.get_trials(deepcopy=False)
        # With one seed each run of a search would begin with the same random values.
        self._study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=_RANDOM_TRIALS, seed=request["seed"] + len(before)
        )
        self._space = {name: _distribution(part) for name, part in request["space"].items()}
        self._running: dict[int, Trial] = {}
        if not before and request["first"] is not None:
            self._study.enqueue_trial(request["first"])
        for trial in before:
            if trial.state == TrialState.RUNNING:
                self._study.tell(trial.number, state=TrialState.FAIL)
                self._study.enqueue_trial(trial.params, user_attrs={_CUT_OFF: trial.number})

    def tried(self) -> int:
        """Return how many trials have ended; one that was tried again counts once."""
        trials = self._study.get_trials(deepcopy=False)
        again = {trial.user_attrs[_CUT_OFF] for trial in trials if _CUT_OFF in trial.user_attrs}
        return sum(trial.state.is_finished() and trial.number not in again for trial in trials)

    def answer(self, question: dict[str, Any]) -> Any:
        """Return the answer to a question."""
        ((verb, said),) = question.items()
        if verb == "ask":
            return self._ask()
        if verb == "report":
            number, step, value = said
            self._running[number].report(value, step)
            # A pruner may answer in NumPy's kind, which JSON doesn't know.
            return {"prune": bool(self._running[number].should_prune())}
        if verb == "best":
            return self._best()
        number, value = (said, None) if verb == "prune" else said
        state = TrialState.PRUNED if verb == "prune" else TrialState.FAIL if value is None else TrialState.COMPLETE
        self._study.tell(self._running.pop(number), value, state=state)
        return {"told": number}

    def _ask(self) -> dict[str, Any]:
        trial = self._study.ask(self._space)
        asked = {"number": trial.number, "values": trial.params}
        for earlier in self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            if earlier.params == trial.params:
                self._study.tell(trial, earlier.value)
                return {**asked, "value": earlier.value, "as": earlier.number}
        self._running[trial.number] = trial
        return asked

    def _best(self) -> dict[str, Any] | None:
        if not self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            return None
        best = self._study.best_trial
        return {"number": best.number, "value": best.value, "values": best.params}


def _distribution(part: dict[str, Any]) -> BaseDistribution:
    if "choices" in part:
        return CategoricalDistribution(part["choices"])
    whole = isinstance(part["low"], int) and isinstance(part["high"], int)
    return (IntDistribution if whole else FloatDistribution)(part["low"], part["high"], log=part["log"])


def main(request: dict[str, Any]) -> None:
    """Open the study and answer until there are no more questions."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    asked = Asked(request)
    print(json.dumps({"tried": asked.tried()}), flush=True)
    for line in sys.stdin:
        print(json.dumps(asked.answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
