"""Helper processes end with the process that started them, however that one ends."""

from __future__ import annotations

import os
import threading
import time

SECONDS = 0.5  # between two looks


def end_with(parent: int) -> None:
    """End this process soon after its parent, which has this id: a parent that is killed cannot end it."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()
