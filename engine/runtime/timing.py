"""Logs how long each step of a slow start takes."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)


@contextmanager
def timed(step: str) -> Iterator[None]:
    """Log that a step begins and, unless it raises, how many seconds it took."""
    logger.info("%s ...", step)
    begun = time.monotonic()
    yield
    logger.info("%s took %.1f s.", step, time.monotonic() - begun)
