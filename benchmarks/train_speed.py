"""`python -m benchmarks.train_speed`."""

from __future__ import annotations

import sys

from benchmarks.speed.train import main

if __name__ == "__main__":
    sys.exit(main())
