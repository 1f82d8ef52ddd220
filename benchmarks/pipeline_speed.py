"""`python -m benchmarks.pipeline_speed`."""

from __future__ import annotations

import sys

from benchmarks.speed.pipeline import main

if __name__ == "__main__":
    sys.exit(main())
