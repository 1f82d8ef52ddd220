"""The difference of two models' hit rates on the same queries, its interval, and the rule that the gate applies to it.

Every query is answered by both models, so that what makes a query hard for both cancels out: the interval of the
difference is narrower than those of the two rates suggest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

_DEVIATIONS = 1.959964
"""Standard deviations on either side of a normal distribution's mean that hold 95 % of it."""


@dataclass(frozen=True)
class PairedDifference:
    """Hit rate of the candidate minus that of the baseline.

    Attributes
    ----------
    mean
        The difference as it was measured; NaN without a query.
    low, high
        Ends of its 95 % interval.
    queries
        How many queries both models answered.
    """

    mean: float
    low: float
    high: float
    queries: int

    def margin(self, allowed_drop: float, *, non_inferior: bool) -> float:
        """Return by how much the gate's rule is met; a negative number if it is not.

        Parameters
        ----------
        allowed_drop
            How far the candidate may lie below the baseline, at least 0.
        non_inferior
            Whether the candidate has to prove that it is no worse: the interval's lower end has to stay above the
            allowed drop. Otherwise it is refused only where it is worse by more than the allowed drop and chance
            doesn't explain it: where the interval lies below zero.

        Examples
        --------
        >>> chance = PairedDifference(mean=-0.02, low=-0.05, high=0.01, queries=610)
        >>> chance.margin(0.005, non_inferior=False) >= 0, chance.margin(0.005, non_inferior=True) >= 0
        (True, False)
        """
        if non_inferior:
            return self.low + allowed_drop
        return max(self.mean + allowed_drop, self.high)


def paired_difference(queries: int, total: int, squares: int) -> PairedDifference:
    """Return the difference of two hit rates with its 95 % interval.

    With d_i in {-1, 0, 1} for what the candidate hits more on query i than the baseline, the interval is that of
    Agresti and Min ("Simple improved confidence intervals for comparing matched proportions", Statistics in Medicine
    24, 2005): a Wald interval after one half is added to each of the four cells of hits by hits, so that

        n' = n + 2,   d' = sum(d) / n',   var' = (sum(d^2) + 1 - sum(d)^2 / n') / n'^2,   d' +- 1.96 sqrt(var')

    Unlike Wald's own it isn't empty where all queries agree, and holds at few queries.

    Parameters
    ----------
    queries
        n, at least 0.
    total, squares
        Sums over the queries of d and of d^2: hits gained minus hits lost, and gained plus lost.

    Examples
    --------
    >>> found = paired_difference(queries=1_000, total=-20, squares=60)
    >>> f"{found.mean:.4f} [{found.low:.4f}, {found.high:.4f}]"
    '-0.0200 [-0.0352, -0.0047]'
    """
    if queries == 0:
        return PairedDifference(math.nan, math.nan, math.nan, 0)
    adjusted = queries + 2
    center = total / adjusted
    half = _DEVIATIONS * math.sqrt((squares + 1 - total * total / adjusted) / adjusted**2)
    return PairedDifference(total / queries, max(center - half, -1.0), min(center + half, 1.0), queries)
