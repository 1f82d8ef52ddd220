"""`python -m benchmarks.gate`."""

from __future__ import annotations

import sys

from benchmarks.quality.gate import main

if __name__ == "__main__":
    sys.exit(main())
