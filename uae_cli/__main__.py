"""`python -m uae_cli` is `uae`."""

import sys

from uae_cli.cli import main

sys.exit(main())
