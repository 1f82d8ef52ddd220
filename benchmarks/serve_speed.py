"""`python -m benchmarks.serve_speed`."""

from __future__ import annotations

import sys

from benchmarks.speed.serve import main

if __name__ == "__main__":
    sys.exit(main())
