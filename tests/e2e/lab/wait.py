# SPDX-License-Identifier: Apache-2.0
"""Waiting for a condition with a deadline; never for a fixed time."""

import time

STEP = 0.05


def until(condition, seconds, what):
    """The first true value of condition(). After `seconds`: an error with `what` (a text or a function giving one)."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(STEP)


def middle_of_interval(after=0, most=0.25):
    """Returns within the first part of an interval (of 1 s) later than `after`, its beginning over and most to come."""
    until(lambda: 0.1 <= time.time() % 1 <= most and int(time.time()) > after, after - time.time() + 5 if after else 5,
          "the middle of an interval")
