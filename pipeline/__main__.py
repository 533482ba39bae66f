"""`python -m pipeline` is `fanout`."""

import sys

from pipeline.cli.main import main

sys.exit(main())
