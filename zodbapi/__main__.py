"""``python -m zodbapi FILE [SQL]``."""

import sys

from zodbapi.shell import main

sys.exit(main())
