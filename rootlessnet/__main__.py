"""`python -m rootlessnet`: the same program as the `rootlessnet` script."""

import sys

from rootlessnet.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
