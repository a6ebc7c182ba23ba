"""The rooms of backups that know no file: the log's checksums, commits, batches, heads, notes, records."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridstore import HybridStore
from hybridstore.backup.batch import Batch, decode, encode, join
from hybridstore.backup.commits import Clock, ClockRow, find_commits
from hybridstore.backup.framing import (
    HEAD_MIN_BYTES,
    TailRecord,
    decode_head,
    decode_note,
    decode_records,
    encode_head,
    encode_note,
    encode_record,
    head_bytes,
)
from hybridstore.backup.pieces import NO_SHA256, Epoch, LogPosition, Tail
from hybridstore.backup.wal import (
    HEADER_BYTES,
    LogHeader,
    checksum,
    page_checksums,
    parse_frames,
    parse_header,
)
from hybridstore.config import DATABASE_NAME
from hybridstore.errors import BackupCorrupt, StoreCorrupt

PAGE = 512
seeds = st.integers(0, 2**32 - 1)


def slow_checksum(words: list[int], before: tuple[int, int] = (0, 0)) -> tuple[int, int]:
    """Return the checksum as https://www.sqlite.org/fileformat2.html#checksum_algorithm words it."""
    first, second = before
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & 0xFFFF_FFFF
        second = (second + other + first) & 0xFFFF_FFFF
    return first, second


def make_log(rng: random.Random, frames: int, order: str) -> bytes:
    """Return a log of random pages, made word by word."""
    magic = 0x377F0682 if order == "<" else 0x377F0683
    salts = (rng.getrandbits(32), rng.getrandbits(32))
    head = struct.pack(">6I", magic, 3_007_000, PAGE, 0, *salts)
    sums = slow_checksum(list(struct.unpack(f"{order}6I", head)))
    log = head + struct.pack(">2I", *sums)
    for _ in range(frames):
        start = struct.pack(">2I", rng.randint(1, 99), rng.choice((0, 0, 7)))
        page = rng.randbytes(PAGE)
        sums = slow_checksum(list(struct.unpack(f"{order}{(8 + PAGE) // 4}I", start + page)), sums)
        log += start + struct.pack(">4I", *salts, *sums) + page
    return log


@settings(max_examples=40, deadline=None)
@given(seed=seeds, count=st.integers(0, 6), order=st.sampled_from("<>"), split=st.integers(0, 6))
def test_a_log_is_read_as_sqlite_words_it(seed: int, count: int, order: str, split: int) -> None:
    log = make_log(random.Random(seed), count, order)
    header = parse_header(log[:HEADER_BYTES])
    assert (header.page_bytes, header.order) == (PAGE, order)
    body, at = log[HEADER_BYTES:], min(split, count) * header.frame_bytes
    first = parse_frames(header, body[:at], header.sums)
    second = parse_frames(header, body[at:], first.sums)
    pages = [bytes(page) for page in (*first.pages, *second.pages)]
    assert b"".join(pages) == b"".join(
        body[n * header.frame_bytes + 24 : (n + 1) * header.frame_bytes] for n in range(count)
    )
    if count:
        assert second.sums == struct.unpack_from(">2I", body, (count - 1) * header.frame_bytes + 16)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, count=st.integers(1, 4), order=st.sampled_from("<>"), data=st.data())
def test_a_flipped_bit_of_a_log_is_found(seed: int, count: int, order: str, data: st.DataObject) -> None:
    log = bytearray(make_log(random.Random(seed), count, order))
    place = data.draw(st.integers(0, 8 * len(log) - 1))
    log[place // 8] ^= 1 << place % 8
    if 12 <= place // 8 < 16:  # how often it was begun anew, which each connection counts for itself
        log[HEADER_BYTES - 1] ^= 1
    with pytest.raises(StoreCorrupt):
        _read(bytes(log))


def _read(log: bytes) -> None:
    header = parse_header(log[:HEADER_BYTES])
    parse_frames(header, log[HEADER_BYTES:], header.sums)


@settings(max_examples=40, deadline=None)
@given(words=st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=40), before=st.tuples(seeds, seeds))
def test_checksums_are_those_of_the_loop(words: list[int], before: tuple[int, int]) -> None:
    words = words[: len(words) // 2 * 2]
    array = np.array(words, np.uint32)
    assert checksum(array, before) == slow_checksum(words, before)
    pages = array.astype("<u4").view(np.uint8).reshape(1, -1)
    assert tuple(page_checksums(pages)[0].tolist()) == slow_checksum(words)


def test_every_commit_is_found_as_sqlite_finds_it(root: Path) -> None:
    """Each commit's pages are put into a copy of the database, and SQLite is asked what the clock says there."""
    with HybridStore(root) as store:
        store.database.writer.call(lambda _session: None, durability="full")
        for number in range(12):
            store.record_balance_update("BTC", number, 0, "test")
            if number % 3 == 0:
                store.record_market_trades(
                    [("BTC/USDT", number, "1", "2", "buy", 1_700_000_000_000_000 + number)]
                )
            if number == 6:
                with closing(apsw.Connection(str(root / DATABASE_NAME))) as foreign:
                    foreign.execute("CREATE TABLE foreign_one (a)")
        log = (root / f"{DATABASE_NAME}-wal").read_bytes()
        (mark,) = store.database.readers.rows("SELECT mark FROM commit_clock")[0]
        image = bytearray((root / DATABASE_NAME).read_bytes())
    header = parse_header(log[:HEADER_BYTES])
    whole = len(log[HEADER_BYTES:]) // header.frame_bytes * header.frame_bytes
    frames = parse_frames(header, log[HEADER_BYTES : HEADER_BYTES + whole], header.sums)
    commits = find_commits(frames, mark, Clock(ClockRow(0, 0)))
    assert len(commits.ends) > 15
    for start in range(len(frames.numbers)):  # wherever a reader stops, the next goes on
        first = find_commits(_part(frames, 0, start), mark, Clock(ClockRow(0, 0)))
        second = find_commits(_part(frames, start, len(frames.numbers)), mark, first.clock)
        assert [*first.seqs, *second.seqs] == commits.seqs.tolist()
        assert [*first.times_us, *second.times_us] == commits.times_us.tolist()
    at = 0
    for end, seq, ts_us in zip(commits.ends, commits.seqs, commits.times_us, strict=True):
        for index in range(at, int(end)):
            place = (int(frames.numbers[index]) - 1) * header.page_bytes
            image[len(image) :] = bytes(max(place + header.page_bytes - len(image), 0))
            image[place : place + header.page_bytes] = frames.pages[index].tobytes()
        at = int(end)
        assert _clock_of(root, bytes(image)) == (seq, ts_us)


def _part(frames: Any, start: int, stop: int) -> Any:
    return frames._replace(
        numbers=frames.numbers[start:stop], sizes=frames.sizes[start:stop], pages=frames.pages[start:stop]
    )


def _clock_of(root: Path, image: bytes) -> tuple[object, ...]:
    path = root / "image.db"
    path.write_bytes(image[:18] + b"\1\1" + image[20:])  # as one without a log of its own
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        (row,) = connection.execute("SELECT seq, ts FROM commit_clock").fetchall()
    path.unlink()
    return row


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    frames = draw(st.integers(0, 8))
    sizes = np.array([draw(st.sampled_from((0, 0, 5))) for _ in range(frames)], np.uint32)
    ends = np.flatnonzero(sizes).astype(np.int64) + 1
    seqs = np.cumsum([draw(st.integers(0, 2)) for _ in ends]).astype(np.int64) + 2**48
    times = np.array([draw(st.integers(2**50, 2**52)) for _ in ends], np.int64)
    numbers = np.array([draw(st.integers(1, 99)) for _ in range(frames)], np.uint32)
    pages = np.frombuffer(random.Random(draw(seeds)).randbytes(frames * PAGE), np.uint8)
    return Batch(numbers, sizes, ends, seqs, times, pages.reshape(frames, PAGE))


def same(one: Batch, other: Batch) -> bool:
    """Say whether two batches hold the same."""
    columns: list[tuple[Any, Any]] = list(zip(one, other, strict=True))
    return all(np.array_equal(left, right) for left, right in columns)


@settings(max_examples=60, deadline=None)
@given(one=batches(), other=batches(), level=st.sampled_from((None, 1, 3)))
def test_a_batch_is_read_as_it_was_written(one: Batch, other: Batch, level: int | None) -> None:
    other = other._replace(seqs=other.seqs + 100)  # commits follow each other
    for batch in (one, join([one, other])):
        content = encode(batch, level)
        assert same(decode(content, batch.raw_bytes, compressed=level is not None), batch)
        assert level is not None or len(content) == batch.raw_bytes
    both = join([one, other])
    frames = len(one.numbers)
    assert same(
        Batch(both.numbers[:frames], both.sizes[:frames], both.ends[: len(one.ends)], both.seqs[: len(one.ends)],
              both.times_us[: len(one.ends)], both.pages[:frames]),
        one,
    )  # fmt: skip
    assert (both.ends[len(one.ends) :] - frames).tolist() == other.ends.tolist()


@settings(max_examples=60, deadline=None)
@given(batch=batches(), data=st.data())
def test_what_is_no_batch_is_refused(batch: Batch, data: st.DataObject) -> None:
    raw, packed = encode(batch, None), encode(batch, 3)
    with pytest.raises(BackupCorrupt):
        decode(raw[: data.draw(st.integers(0, len(raw) - 1))], batch.raw_bytes, compressed=False)
    with pytest.raises(BackupCorrupt):
        decode(packed[: data.draw(st.integers(0, len(packed) - 1))], batch.raw_bytes, compressed=True)
    for size in (batch.raw_bytes - 1, batch.raw_bytes + 1, -1, 1 << 40):
        with pytest.raises(BackupCorrupt):
            decode(packed, size, compressed=True)


TAIL = Tail(
    store="00" * 16, epoch=1, number=2, previous=NO_SHA256, created_us=3, seq_before=4, ts_before_us=5,
    page_bytes=4096, begin=LogPosition(1, 2, 3, 4, 5),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_changed_byte_of_a_head_or_a_note_is_found(data: st.DataObject) -> None:
    epoch = Epoch(1, "00" * 16, 2, "it began", 3, 4)
    readers: list[tuple[bytes, Callable[[bytes], msgspec.Struct], msgspec.Struct]] = [
        (encode_head(TAIL), read_head, TAIL),
        (encode_note(epoch), lambda content: decode_note(content, Epoch), epoch),
    ]
    for content, read, said in readers:
        assert read(content) == said
        place = data.draw(st.integers(0, len(content) - 1))
        changed = bytearray(content)
        changed[place] ^= data.draw(st.integers(1, 255))
        with pytest.raises(BackupCorrupt):
            read(bytes(changed))
        with pytest.raises(BackupCorrupt):
            read(content[:place])


def read_head(content: bytes) -> msgspec.Struct:
    """Read a head as a repository does."""
    length = head_bytes(content[:HEAD_MIN_BYTES])
    return decode_head(content[:length], Tail)


@settings(max_examples=80, deadline=None)
@given(some=st.lists(batches(), min_size=1, max_size=4), data=st.data())
def test_records_of_a_tail_are_whole_or_not_there(some: list[Batch], data: st.DataObject) -> None:
    written = [
        TailRecord(LogPosition(1, 2, number, 3, 4), batch.raw_bytes, encode(batch, 1))
        for number, batch in enumerate(some)
    ]
    encoded = [encode_record(record) for record in written]
    body = b"".join(encoded)
    assert decode_records(body) == (written, 0)
    cut = data.draw(st.integers(0, len(body)))
    read, rest = decode_records(body[:cut])
    assert read == written[: len(read)]
    assert sum(map(len, encoded[: len(read)])) + rest == cut
    place = data.draw(st.integers(0, len(body) - 1))
    changed = bytearray(body)
    changed[place] ^= data.draw(st.integers(1, 255))
    if place < len(body) - len(encoded[-1]):
        with pytest.raises(BackupCorrupt, match="damaged and others follow"):
            decode_records(bytes(changed))
    else:
        assert decode_records(bytes(changed)) == (written[:-1], len(encoded[-1]))


def test_a_header_says_what_is_wrong_with_it() -> None:
    with pytest.raises(StoreCorrupt, match="no header"):
        parse_header(b"")
    with pytest.raises(StoreCorrupt, match="not the header"):
        parse_header(bytes(HEADER_BYTES))
    header = LogHeader(PAGE, (1, 2), (3, 4), "<")
    with pytest.raises(StoreCorrupt, match="no whole frames"):
        parse_frames(header, b"x", (0, 0))
