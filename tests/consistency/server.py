"""The test build: kobako's own command line, with hooks for faults, and with what was broken on purpose.

    KOBAKO_TEST_FAULTS='{"control": "/tmp/x/control"}' KOBAKO_TEST_BREAK=half_batches \
        python -m tests.consistency.server start --workers 2

None of it is in `src`: classes of kobako are patched here, before the command runs. Workers are forked from the
master, or import this module again where processes are spawned.

Source: reliability, 3.1 to 3.3.
"""

import os

import msgspec
from tests.consistency import breaks, hooks

from kobako.cli import main

FAULTS = "KOBAKO_TEST_FAULTS"
BREAK = "KOBAKO_TEST_BREAK"

if FAULTS in os.environ:
    hooks.install(msgspec.json.decode(os.environ[FAULTS], type=hooks.Hooks))
if os.environ.get(BREAK):
    breaks.SWITCHES[os.environ[BREAK]]()

if __name__ == "__main__":
    main()
