"""`python -m benchmarks.rolling`."""

from __future__ import annotations

import sys

from benchmarks.quality.rolling import main

if __name__ == "__main__":
    sys.exit(main())
