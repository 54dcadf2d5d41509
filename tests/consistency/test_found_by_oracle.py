"""What the oracle has found, each as a small test."""

import subprocess
import sys

HANGS = """
import ctypes, os, sys, time
from kobako import serving

serving.HUNG_S = 3
serving.end_with(os.getppid())
time.sleep(0.5)
print("hangs", flush=True)
# Unlike CDLL, this one keeps the interpreter for itself.
ctypes.PyDLL(None).sleep(100)
"""


def test_a_worker_whose_interpreter_stands_still_is_ended() -> None:
    # Granian 2.8 may hang so when it is told to stop while requests come in: such workers outlived their master.
    done = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=60)

    assert done.stdout == "hangs\n"
    assert done.returncode == 1
    assert "Timeout" in done.stderr
