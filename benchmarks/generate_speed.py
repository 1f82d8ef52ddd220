"""`python -m benchmarks.generate_speed`."""

from __future__ import annotations

import sys

from benchmarks.speed.generate import main

if __name__ == "__main__":
    sys.exit(main())
