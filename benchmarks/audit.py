"""`python -m benchmarks.audit`."""

from __future__ import annotations

import sys

from benchmarks.quality.audit import main

if __name__ == "__main__":
    sys.exit(main())
