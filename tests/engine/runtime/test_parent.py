"""Helper processes end with their parent."""

import signal
import subprocess
import sys

HELPER = "import sys; from engine.runtime.parent import end_with; end_with(int(sys.argv[1])); sys.stdin.read()"
PARENT = f"""
import os, subprocess, sys
helper = subprocess.Popen([sys.executable, "-c", {HELPER!r}, str(os.getpid())])
print("started", flush=True)
helper.wait()
"""


def test_a_helper_ends_with_a_parent_that_is_killed() -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    parent = subprocess.Popen([sys.executable, "-c", PARENT], **pipes, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "started\n"
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert parent.stdout.read() == ""  # the output ends when the helper, which shares it, has ended
