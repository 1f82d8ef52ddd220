"""`python -m benchmarks.span_gate`."""

from __future__ import annotations

import sys

from benchmarks.quality.span_gate import main

if __name__ == "__main__":
    sys.exit(main())
