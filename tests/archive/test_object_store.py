"""Objects: put once, proven, given back whole; an answer that is wrong, late or missing is an error that says so."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hybridstore.archive.object_store import ObjectStore, object_store
from hybridstore.errors import ArchiveCorrupt, ArchiveUnreachable, ConfigError, MoveFailed
from tests.objects import Environment, ObjectServer, object_server, real_url

NAME = "archives/cold/%4fwn/year=2026/month=04/%4fwn-cold-20260401-20260430-f1.parquet"
CONTENT = bytes(range(256)) * 40


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    with object_server(monkeypatch) as server:
        yield server


@pytest.fixture(params=["imitation", "folder", "real"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "real":
        return real_url()
    if request.param == "folder":
        return (tmp_path / "other disk").as_uri()
    server: ObjectServer = request.getfixturevalue("server")
    return server.url


def test_what_is_put_is_given_back(url: str) -> None:
    store = ObjectStore(url + "/")
    assert store.url == url
    store.put_new(NAME, CONTENT, digest(CONTENT))
    assert store.get(NAME, len(CONTENT), digest(CONTENT)) == CONTENT
    store.check(NAME, len(CONTENT))
    assert store.sizes("archives") == {NAME: len(CONTENT)}, "nothing is left of the probe"
    assert store.place(NAME) == f"{url}/{NAME}"
    assert (store.delete(NAME), store.delete(NAME)) == (True, False)
    assert store.sizes("archives") == {}


def test_an_object_in_a_folder_is_on_its_device_with_its_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file in the root goes for it, so it must be there after a power cut, too."""
    flushed: set[int] = set()
    flush = os.fsync

    def noted(descriptor: int) -> None:
        flushed.add(os.fstat(descriptor).st_ino)
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    folder = tmp_path / "a disk" / "new"
    store, content = ObjectStore(folder.as_uri()), b"something"
    store.put_new("some/%63on/one", content, hashlib.sha256(content).hexdigest())
    path = folder / "some" / "%63on" / "one"
    expected = [path] if sys.platform == "win32" else [path, *list(path.parents)[:5]]
    assert {one.stat().st_ino for one in expected} <= flushed


def test_an_object_is_never_replaced(url: str) -> None:
    store = ObjectStore(url)
    store.put_new(NAME, CONTENT, digest(CONTENT))
    store.put_new(NAME, CONTENT, digest(CONTENT))
    with pytest.raises(ArchiveCorrupt, match="another content"):
        store.put_new(NAME, b"other", digest(b"other"))
    assert store.get(NAME, len(CONTENT), digest(CONTENT)) == CONTENT


def test_an_object_that_is_missing_or_not_what_it_was_is_named(url: str) -> None:
    store = ObjectStore(url)
    for ask in (lambda: store.get(NAME, 1, digest(b"x")), lambda: store.check(NAME, 1)):
        with pytest.raises(ArchiveCorrupt, match="no such object") as missing:
            ask()
        assert NAME in str(missing.value)
    store.put_new(NAME, CONTENT, digest(CONTENT))
    with pytest.raises(ArchiveCorrupt, match="another content"):
        store.get(NAME, len(CONTENT), digest(b"x"))
    with pytest.raises(ArchiveCorrupt, match=r"10,240 bytes, the manifest says 3"):
        store.check(NAME, 3)


def test_a_put_whose_answer_is_lost_is_proven(server: ObjectServer) -> None:
    store = ObjectStore(server.url)
    store.put_new("first", b"1", digest(b"1"))
    server.lose_answers = 2
    store.put_new(NAME, CONTENT, digest(CONTENT))
    assert server.lose_answers == 0
    assert store.get(NAME, len(CONTENT), digest(CONTENT)) == CONTENT


def test_a_store_that_overwrites_is_refused_before_it_gets_anything(server: ObjectServer) -> None:
    def ignore(environment: Environment) -> None:
        environment.pop("HTTP_IF_NONE_MATCH", None)

    server.fault = ignore
    with pytest.raises(MoveFailed, match="ignores If-None-Match"):
        ObjectStore(server.url).put_new(NAME, CONTENT, digest(CONTENT))
    server.fault = None
    assert ObjectStore(server.url).sizes("") == {}


def test_a_store_that_answers_ranges_wrongly_is_refused(server: ObjectServer) -> None:
    def whole(environment: Environment) -> None:
        if environment.get("HTTP_RANGE"):
            environment["HTTP_RANGE"] = "bytes=0-2"

    server.fault = whole
    with pytest.raises((MoveFailed, ArchiveUnreachable)) as refused:
        ObjectStore(server.url).put_new(NAME, CONTENT, digest(CONTENT))
    assert server.url in str(refused.value)
    assert not any(NAME in path for _, path in server.asked)


def test_what_a_store_changed_on_its_way_is_noticed(server: ObjectServer) -> None:
    store = ObjectStore(server.url)
    store.put_new("first", b"1", digest(b"1"))

    def flip(environment: Environment) -> bytes | None:
        if environment["REQUEST_METHOD"] == "GET":
            return CONTENT[:100] + b"\0" + CONTENT[101:]
        return None

    server.fault = flip
    with pytest.raises(ArchiveCorrupt, match="another content"):
        store.put_new(NAME, CONTENT, digest(CONTENT))


def test_a_store_that_does_not_answer_is_an_error_that_names_it(server: ObjectServer) -> None:
    store = ObjectStore(server.url)
    server.stop()
    for ask in (
        lambda: store.put_new(NAME, CONTENT, digest(CONTENT)),
        lambda: store.get(NAME, 1, digest(b"x")),
        lambda: store.check(NAME, 1),
        lambda: store.delete(NAME),
        lambda: store.sizes(""),
    ):
        with pytest.raises(ArchiveUnreachable) as unreachable:
            ask()
        assert server.url in str(unreachable.value)
        assert "check the network" in str(unreachable.value)
        assert "\n" not in str(unreachable.value)
        assert unreachable.value.retryable


@pytest.mark.parametrize("url", ["", "nonsense", "s9://bucket/x", "archive/of/one", "Memory:///x"])
def test_what_is_no_url_of_a_store_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="no URL for objects"):
        object_store(url)


def test_without_the_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(ConfigError, match=r"pip install 'hybridstore\[objects\]'"):
        ObjectStore("s3://bucket/x")
