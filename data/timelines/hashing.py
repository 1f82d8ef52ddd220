"""A keyed, collision-free hash of 64-bit numbers, computed on whole arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def mix64(values: NDArray[np.integer]) -> NDArray[np.uint64]:
    """Return numbers hashed by the output function of SplitMix64 (Steele, Lea and Flood, 2014).

    Each step can be undone, so that distinct inputs give distinct outputs: ranking by the result has no ties.

    Parameters
    ----------
    values
        Non-negative integers of any shape.

    Returns
    -------
    NDArray[np.uint64]
        An array of the same shape.
    """
    # Wrapping round at 2**64 is meant; numpy would warn of it for single numbers.
    with np.errstate(over="ignore"):
        mixed = values.astype(np.uint64) + _GAMMA
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
        return mixed ^ (mixed >> np.uint64(31))


def keyed_hash(values: NDArray[np.integer], key: int) -> NDArray[np.uint64]:
    """Return numbers hashed under a key: another key gives an unrelated order. Free of collisions, as `mix64` is.

    Parameters
    ----------
    values
        Non-negative integers of any shape.
    key
        A number below 2**64.

    Returns
    -------
    NDArray[np.uint64]
        An array of the same shape.
    """
    return mix64(mix64(values) ^ mix64(np.asarray(key, dtype=np.uint64)))
