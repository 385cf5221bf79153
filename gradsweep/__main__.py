"""`python -m gradsweep`, the same as the console script `gradsweep`."""

import sys

from gradsweep.cli import main

if __name__ == "__main__":
    sys.exit(main())
