"""Power cuts during moves, merges and deletions, recorded below every library that writes: nothing passes unseen."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.crash.operations import Rename
from tests.crash.shim import build_shim, run_under
from tests.crash.shim_cut import Cuts, cut_power_below
from tests.crash.shim_log import RefusedCall, read_logs, take_before


def _told(cuts: Cuts) -> None:
    recorded = dict(sorted(cuts.operations.items()))
    print(
        f"{cuts.operations.total()} operations recorded {recorded}, {cuts.images} disks, {cuts.resumed} taken up again"
    )


@pytest.mark.timeout(120)
@pytest.mark.parametrize("work", ["move", "delete"])
def test_power_cuts_below_everything_lose_and_double_nothing(tmp_path: Path, seed: int, work: str) -> None:
    cuts = cut_power_below(tmp_path, build_shim(tmp_path), work, seed, 60, resume_every=12)
    _told(cuts)
    assert not cuts.problems, (len(cuts.problems), cuts.problems[0])
    assert cuts.images > 50
    assert cuts.operations.keys() >= {
        "Create",
        "MakeFolder",
        "Write",
        "Sync",
        "Rename",
        "SyncFolder",
        "Note",
        "Delete",
    }


@pytest.mark.timeout(120)
def test_power_cuts_below_everything_after_deaths_lose_and_double_nothing(
    tmp_path: Path, seed: int, rng: Random
) -> None:
    deaths = (rng.randrange(1, 12), rng.randrange(12, 40))
    cuts = cut_power_below(tmp_path, build_shim(tmp_path), "move", seed, 20, resume_every=10, deaths=deaths)
    _told(cuts)
    assert not cuts.problems, (deaths, len(cuts.problems), cuts.problems[0])


@pytest.mark.timeout(120)
@pytest.mark.parametrize("mutant", ["no fsync of the file", "no fsync of the folder"])
@pytest.mark.parametrize("work", ["move", "delete"])
def test_what_is_not_flushed_is_noticed(tmp_path: Path, seed: int, work: str, mutant: str) -> None:
    cuts = cut_power_below(tmp_path, build_shim(tmp_path), work, seed, 60, resume_every=1_000, mutant=mutant)
    _told(cuts)
    print(cuts.problems[:1])
    assert cuts.problems


_UNKNOWN = {
    "a mapping": "f = open(path, 'r+b'); mmap.mmap(f.fileno(), 0)[:1] = b'x'",
    "fallocate": "f = open(path, 'r+b'); os.posix_fallocate(f.fileno(), 0, 9999)",
    "copy_file_range": "f = open(path, 'r+b'); g = open(sys.executable); os.copy_file_range(g.fileno(), f.fileno(), 9)",
    "sendfile": "f = open(path, 'r+b'); g = open(sys.executable); os.sendfile(f.fileno(), g.fileno(), 0, 9)",
    "writev": "f = open(path, 'r+b'); os.writev(f.fileno(), [b'a', b'b'])",
    "truncate": "os.truncate(path, 1)",
    "link": "os.link(path, path + '2')",
    "another folder": "os.mkdir(root + '/b'); os.rename(path, root + '/b/a')",
}
"""Ways to change a file that the log has no word for."""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("call", [None, *_UNKNOWN])
def test_a_call_the_log_has_no_word_for_is_refused(tmp_path: Path, call: str | None) -> None:
    root, log = tmp_path / "root", tmp_path / "log"
    root.mkdir()
    (root / "a").write_bytes(bytes(4096))
    before = take_before(root)
    script = (
        "import mmap, os, sys; from pathlib import Path; from tests.crash.shim import Shim\n"
        "root, log = sys.argv[1:]; path = root + '/a'; shim = Shim(Path(root)); shim.record(Path(log))\n"
        f"{_UNKNOWN[call] if call else 'os.rename(path, path)'}\nshim.stop(); os._exit(0)"
    )
    run_under(build_shim(tmp_path), ("-c", script, str(root), str(log)), 50)
    if call is None:
        assert read_logs([log], before)[0][-1:] == [Rename("a", "a")]
    else:
        with pytest.raises(RefusedCall, match=r"a2?: "):
            read_logs([log], before)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("work", ["move", "delete"])
def test_many_power_cuts_after_many_deaths_lose_and_double_nothing(
    tmp_path: Path, seed: int, rng: Random, work: str
) -> None:
    library, images = build_shim(tmp_path), 0
    for number in range(6):
        folder = tmp_path / str(number)
        folder.mkdir()
        deaths = tuple(rng.randrange(1, 60) for _ in range(rng.randrange(4)))
        cuts = cut_power_below(folder, library, work, seed + number, 500, resume_every=50, deaths=deaths)
        _told(cuts)
        assert not cuts.problems, (number, deaths, len(cuts.problems), cuts.problems[0])
        images += cuts.images
    print(f"{images} disks of {work}")
    assert images > 2_500
