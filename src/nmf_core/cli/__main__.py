"""``python -m nmf_core.cli`` is the command ``nmf-core``."""

import sys

from nmf_core.cli import main

sys.exit(main())
