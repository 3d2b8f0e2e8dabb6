"""What contract tests share."""

import logging

import pytest

from function import pacing
from function.core import retry


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits before a repetition are a hundredth of what they are in earnest; their order and number stay."""
    for name in ("FAULT_BASE_S", "RATE_BASE_S", "LONGEST_S"):
        monkeypatch.setattr(retry, name, getattr(retry, name) / 100)
    for name in ("FIRST_PROBE_S", "PROBE_EVERY_S", "PROBE_LATER_EVERY_S"):
        monkeypatch.setattr(pacing, name, getattr(pacing, name) / 100)


@pytest.fixture
def unreported(caplog: pytest.LogCaptureFixture) -> None:
    """Keeps the logger's lines out of the test's report, which pytest-xdist can't send with such characters in it."""
    caplog.set_level(logging.CRITICAL, logger="function")
