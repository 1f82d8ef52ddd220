"""`python -m benchmarks.search`."""

from __future__ import annotations

import sys

from benchmarks.quality.search import main

if __name__ == "__main__":
    sys.exit(main())
