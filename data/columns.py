"""Tables on a terminal."""

from __future__ import annotations

from collections.abc import Sequence


def columns(rows: Sequence[Sequence[str]], align: str = "lr", *, indent: int = 2) -> str:
    """Return rows of text under each other, without spaces at the ends of lines.

    Parameters
    ----------
    rows
        All of one length; the header, where there is one, is the first.
    align
        `l` or `r` for each column; the last letter is also that of the columns after it.
    indent
        Spaces before each line.

    Examples
    --------
    >>> print(columns([["step", "seconds"], ["Trainer", "12.3"]], indent=0))
    step     seconds
    Trainer     12.3
    """
    # Imported late: it takes a tenth of a second, and `--help` prints no table.
    from tabulate import tabulate

    width = max(map(len, rows), default=0)
    sides = [{"l": "left", "r": "right"}[align[min(column, len(align) - 1)]] for column in range(width)]
    # What looks like a number stays as it is written.
    table = tabulate(rows, tablefmt="plain", colalign=sides, disable_numparse=True)
    return "\n".join(f"{' ' * indent}{line}".rstrip() for line in table.splitlines())
