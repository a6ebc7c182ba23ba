"""What every suite shares: one printed seed, hypothesis profiles, and the recorded market data.

The seed of a run is ``TEST_SEED`` or a fresh number. It is printed in the header and drives hypothesis and the
``seed`` and ``rng`` fixtures, so ``TEST_SEED=<number> pytest`` repeats what a run drew.
"""

from __future__ import annotations

import os
import secrets
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from random import Random

import hypothesis
import pytest

from tests.leftovers import close_stores, end_children, threads_of_stores

REPOSITORY = Path(__file__).resolve().parent.parent
SEED_VARIABLE = "TEST_SEED"
DATA_VARIABLE = "HYBRIDSTORE_TEST_DATA"
PROFILE_VARIABLE = "HYPOTHESIS_PROFILE"
MAINTENANCE_VARIABLE = "HYBRIDSTORE_MAINTENANCE"

# Shared machines stall for longer than any fair deadline of one example; pytest-timeout ends what hangs.
hypothesis.settings.register_profile("default", max_examples=60, deadline=None, print_blob=True)
hypothesis.settings.register_profile("ci", max_examples=200, deadline=None, print_blob=True)
hypothesis.settings.register_profile("soak", max_examples=20_000, deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get(PROFILE_VARIABLE, "default"))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Settle the seed before hypothesis reads its option and before xdist starts workers, which inherit it.

    Maintenance processes are started only by the tests that are about them.
    """
    os.environ[MAINTENANCE_VARIABLE] = "off"
    seed = int(os.environ.setdefault(SEED_VARIABLE, str(secrets.randbits(32))))
    if config.getoption("hypothesis_seed", None) is None:
        config.option.hypothesis_seed = seed


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say how to repeat this run, and where the recorded data is read from."""
    data = recorded_data()
    profile = os.environ.get(PROFILE_VARIABLE, "default")
    return [
        f"seed: {SEED_VARIABLE}={os.environ[SEED_VARIABLE]} (hypothesis: {config.option.hypothesis_seed}, {profile})",
        f"recorded data: {data if data.is_dir() else 'absent'} ({DATA_VARIABLE})",
    ]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Repeat the seed under a failure, where a quiet run has no header."""
    if terminalreporter.stats.get("failed") or terminalreporter.stats.get("error"):
        terminalreporter.write_line(f"to draw the same again: {SEED_VARIABLE}={os.environ[SEED_VARIABLE]}")


_PASSED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note whether the test itself passed, for what is said after it."""
    report = yield
    if report.when == "call":
        item.stash[_PASSED] = report.passed
    return report


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Close what a test leaves open, so that one failure is one; a test that passed may leave nothing."""
    before = threads_of_stores()
    yield
    stores = close_stores(threads_of_stores() - before)
    children = end_children()
    if request.node.stash.get(_PASSED, False):
        assert not stores, f"the test left stores open: {stores}"
        assert not children, f"the test left processes running: {children}"


def recorded_data() -> Path:
    """Return where the recorded market data should be, whether it is there or not."""
    return Path(os.environ.get(DATA_VARIABLE) or REPOSITORY.parent / "shared" / "data").resolve()


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Return the folder of recorded data; the test skips, saying so, where it is absent."""
    folder = recorded_data()
    if not folder.is_dir():
        pytest.skip(f"recorded market data is absent: {folder} is no folder (set {DATA_VARIABLE})")
    return folder


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Return a seed of this test's own, drawn from the seed of the run and the test's name."""
    own = zlib.crc32(request.node.nodeid.encode(), int(os.environ[SEED_VARIABLE]) & 0xFFFF_FFFF)
    print(f"{request.node.name}: seed {own} ({SEED_VARIABLE}={os.environ[SEED_VARIABLE]})")
    return own


@pytest.fixture
def rng(seed: int) -> Random:
    """Return a random generator seeded for this test."""
    return Random(seed)
