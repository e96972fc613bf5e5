from __future__ import annotations

import hashlib
import http.server
import io
import re
import stat
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import polars as pl
import pytest

from matinee.data import datasets, fetch
from matinee.data.attributes import MultiCategorical, Numeric
from matinee.data.datasets import DATASETS, RECBOLE, Dataset, DatasetInfo
from matinee.data.fetch import Archive
from matinee.errors import DownloadError, MatineeError, UnknownNameError

RATINGS = "userId,movieId,rating,timestamp\n7,30,4.0,1000000000\n7,20,3.5,1000000001\n9,30,5.0,900000000\n"
MOVIES = 'movieId,title,genres\n20,"Two (1990)",Drama\n30,Three (1991),Comedy|Drama\n'
SOUND = {"tiny/ratings.csv": RATINGS, "tiny/movies.csv": MOVIES, "other/readme.txt": "not read"}

Publish = Callable[[bytes], DatasetInfo]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MATINEE_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server on this machine: its address and the folder it serves."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", folder
        running.shutdown()


@pytest.fixture
def publish(server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Puts bytes on the server as the archive of the data set `tiny`, with its true checksum."""

    def published(data: bytes) -> DatasetInfo:
        address, folder = server
        (folder / "tiny.zip").write_bytes(data)
        archive = Archive(
            f"{address}/tiny.zip", "tiny.zip", sha256(data), len(data), "tiny", "movielens", checksum_source="this test"
        )
        return listed(monkeypatch, archive)

    return published


def listed(monkeypatch: pytest.MonkeyPatch, *archives: Archive) -> DatasetInfo:
    entry = DatasetInfo("tiny", "Three rows.", "free", "https://example.org", archives)
    monkeypatch.setattr(datasets, "DATASETS", MappingProxyType({**DATASETS, "tiny": entry}))
    return entry


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def zipped(members: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, body in members.items():
            bundle.writestr(name, body)
    return out.getvalue()


def everything(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*")} if folder.exists() else set()


def test_every_entry_says_where_what_and_who_may() -> None:
    assert {"ml-100k", "ml-1m", "ml-10m", "ml-20m", "ml-25m", "ml-32m", "ml-latest-small"} == set(DATASETS)
    for name, entry in DATASETS.items():
        assert entry.name == name
        assert entry.terms.startswith("https://")
        assert name in entry.terms
        assert entry.licence.endswith(".")
        assert entry.address == f"https://files.grouplens.org/datasets/movielens/{name}.zip"
        for archive in entry.archives:
            assert re.fullmatch(r"https://\S+\.zip|pip:[\w-]+==[\d.]+", archive.address)
            assert re.fullmatch(r"[0-9a-f]{64}", archive.sha256)
            assert re.fullmatch(r"([0-9a-f]{32})?", archive.md5)
            assert 500_000 < archive.size < 500_000_000
            assert archive.checksum_source
    hashes = [archive.sha256 for entry in DATASETS.values() for archive in entry.archives]
    assert len(set(hashes)) == len(hashes)


def test_a_name_nobody_knows_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'ml-100k'"):
        Dataset(name="ml-100")


def test_fetched_once_read_with_titles_and_kept_where_the_variable_says(
    publish: Publish, cache: Path, server: tuple[str, Path]
) -> None:
    publish(zipped(SOUND))
    log = Dataset(name="tiny").read()
    assert log.frame().rows() == [(7, 30, 10**9, 4.0), (7, 20, 10**9 + 1, 3.5), (9, 30, 9 * 10**8, 5.0)]
    assert log.titles is not None
    assert log.titles.to_list() == ["Two (1990)", "Three (1991)"]
    (server[1] / "tiny.zip").unlink()
    assert Dataset(name="tiny").read().fingerprint == log.fingerprint
    assert (cache / "tiny.zip").exists()
    assert not any("readme" in name or name.startswith(".") for name in everything(cache))


def test_what_a_file_says_of_a_data_set_is_its_name() -> None:
    spec = Dataset(name="ml-1m", min_weight=4)
    assert spec.kind == "ml-1m"
    assert spec.to_dict()["kind"] == "ml-1m"
    assert "name" not in spec.to_dict()
    assert Dataset(name=spec.kind, **{k: v for k, v in spec.to_dict().items() if k != "kind"}) == spec


@pytest.mark.parametrize("unpacked_before", [False, True])
def test_a_cached_archive_with_another_checksum_is_refused(
    publish: Publish, cache: Path, *, unpacked_before: bool
) -> None:
    entry = publish(zipped(SOUND))
    if unpacked_before:
        datasets.fetch("tiny")
    cache.mkdir(exist_ok=True)
    swapped = zipped({**SOUND, "tiny/ratings.csv": RATINGS + "9,20,1.0,900000001\n"})
    (cache / "tiny.zip").write_bytes(swapped)
    before = everything(cache)
    with pytest.raises(DownloadError) as caught:
        Dataset(name="tiny").read()
    assert isinstance(caught.value, MatineeError)
    assert caught.value.exit_code == 2
    for said in (str(cache / "tiny.zip"), sha256(swapped), entry.sha256, "Delete it and fetch again", "--force"):
        assert said in str(caught.value)
    assert everything(cache) == before
    assert (cache / "tiny.zip").read_bytes() == swapped
    assert (datasets.fetch("tiny", force=True) / "ratings.csv").read_text() == RATINGS


def test_a_download_with_another_checksum_leaves_nothing(
    publish: Publish, cache: Path, server: tuple[str, Path]
) -> None:
    publish(zipped(SOUND))
    (server[1] / "tiny.zip").write_bytes(zipped({"tiny/ratings.csv": "changed"}))
    with pytest.raises(DownloadError, match="Nothing was kept"):
        datasets.fetch("tiny")
    assert everything(cache) == set()


def test_the_md5_of_the_publisher_counts_too(publish: Publish, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    archive = publish(zipped(SOUND)).archives[0]
    listed(monkeypatch, replace(archive, md5="0" * 32))
    with pytest.raises(DownloadError, match="md5"):
        datasets.fetch("tiny")
    assert everything(cache) == set()


def test_a_connection_cut_in_the_middle_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Cut(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(b"half of it")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cut) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{running.server_port}/tiny.zip"
        listed(monkeypatch, Archive(address, "tiny.zip", "0" * 64, 9, "tiny", "movielens", checksum_source=""))
        with pytest.raises(DownloadError, match=re.escape(address)):
            datasets.fetch("tiny")
        running.shutdown()
    assert everything(cache) == set()


def test_when_nothing_can_be_reached_all_that_was_tried_is_said(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    address = "http://127.0.0.1:9/tiny.zip"
    first = Archive(address, "tiny.zip", "0" * 64, 9, "tiny", "movielens", checksum_source="")
    second = replace(first, address="pip:no-such-wheel-of-matinee==9.9", file="w.whl")
    listed(monkeypatch, first, second)
    with pytest.raises(DownloadError) as caught:
        datasets.fetch("tiny")
    for said in (address, "pip download no-such-wheel-of-matinee==9.9", str(cache / "tiny.zip")):
        assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert everything(cache) == set()


def evil(name: str, *, link: bool = False) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as bundle:
        bundle.writestr("tiny/ratings.csv", RATINGS)
        info = zipfile.ZipInfo("placeholder")
        info.filename = info.orig_filename = name  # past the tidying of the constructor
        if link:
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
        bundle.writestr(info, "/etc/passwd" if link else "escaped")
    return out.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        evil("../escaped.txt"),
        evil("tiny/../../escaped.txt"),
        evil("/tmp/escaped-matinee.txt"),
        evil("tiny\\..\\..\\escaped.txt"),
        evil("c:/escaped.txt"),
        evil("tiny/passwd", link=True),
        zipped({"tiny/ratings.csv": "0" * 3_000_000}),
        zipped({"elsewhere/ratings.csv": RATINGS}),
        zipped({"tiny/ratings.csv": RATINGS, "tiny/ratings.csv/more": "a folder of that name"}),
        zipped({"tiny/more/ratings.csv": RATINGS, "tiny/more": "a file of that name"}),
        zipped({"tiny/ratings.csv": RATINGS, f"tiny/{'a' * 300}": "too long"}),
        b"PK\x03\x04 no zip at all",
    ],
    ids=[
        "up",
        "up-inside",
        "absolute",
        "backslash",
        "drive",
        "link",
        "bomb",
        "no-folder",
        "file-then-folder",
        "folder-then-file",
        "long",
        "no-zip",
    ],
)
def test_a_harmful_archive_is_refused_and_nothing_is_unpacked(
    data: bytes, publish: Publish, cache: Path, tmp_path: Path
) -> None:
    publish(data)
    with pytest.raises(DownloadError, match=re.escape("tiny.zip")) as caught:
        datasets.fetch("tiny")
    assert "\n" not in str(caught.value)
    assert everything(cache) == {"tiny.zip"}
    assert everything(tmp_path) == {"cache", "cache/tiny.zip", "served", "served/tiny.zip"}
    assert not Path("/tmp/escaped-matinee.txt").exists()


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_where_the_archive_belongs_is_left_alone(publish: Publish, cache: Path, *, force: bool) -> None:
    publish(zipped(SOUND))
    (cache / "tiny.zip" / "mine").mkdir(parents=True)
    with pytest.raises(DownloadError, match=r"tiny\.zip is a folder"):
        datasets.fetch("tiny", force=force)
    assert everything(cache) == {"tiny.zip", "tiny.zip/mine"}


def test_no_code_of_the_current_folder_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("MATINEE_DATA", "here")
    monkeypatch.chdir(tmp_path)
    for module in ("pip", "json", "sitecustomize"):
        (tmp_path / f"{module}.py").write_text("open('/'.join([r'" + str(tmp_path) + "', 'ran']), 'w')")
    archive = Archive(
        "pip:no-such-wheel-of-matinee==9.9", "w.whl", "0" * 64, 9, "tiny", "movielens", checksum_source=""
    )
    listed(monkeypatch, archive)
    with pytest.raises(DownloadError, match="No matching distribution"):
        datasets.fetch("tiny")
    assert not (tmp_path / "ran").exists()


def test_the_cache_is_the_users_own_without_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MATINEE_DATA")
    assert fetch.cache().name == "matinee"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the second source of ml-100k in it."""
    home = tmp_path_factory.mktemp("wheel")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MATINEE_DATA", str(home))
        try:
            fetch.download("ml-100k", RECBOLE)
        except fetch.UnreachableError as error:
            pytest.skip(f"no package index: {error}")
    return home


def test_ml_100k_comes_from_its_second_source(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATINEE_DATA", str(wheel))
    log = Dataset(name="ml-100k").read()
    assert (log.n_users, log.n_items, len(log)) == (943, 1682, 100_000)
    assert log.titles is not None
    assert log.titles[0] == "Toy Story (1995)"


def test_both_sources_of_ml_100k_give_the_same_log(
    wheel: Path, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files of the publisher, made from the wheel's: the same rows, in u.data's form and another order."""
    with zipfile.ZipFile(wheel / RECBOLE.file) as bundle:
        rows = pl.read_csv(bundle.read(f"{RECBOLE.folder}/ml-100k.inter"), separator="\t").sample(
            fraction=1.0, shuffle=True, seed=1
        )
        films = bundle.read(f"{RECBOLE.folder}/ml-100k.item").decode().splitlines()[1:]
    flags = genre_columns()
    lines = []
    for film in films:
        item, title, year, genres = film.split("\t")
        marks = "|".join("1" if flag in genres.split(" ") else "0" for flag in flags)
        lines.append(f"{item}|{title} ({year})|01-Jan-{year}||http://|{marks}")
    publish(
        zipped(
            {
                "tiny/u.data": rows.write_csv(separator="\t", include_header=False),
                "tiny/u.item": "\n".join(lines) + "\n",
            }
        )
    )
    first = Dataset(name="tiny").read()
    monkeypatch.setenv("MATINEE_DATA", str(wheel))
    second = Dataset(name="ml-100k").read()
    bare = [replace(one, item_attributes=None, user_attributes=None).fingerprint for one in (first, second)]
    assert bare[0] == bare[1]
    assert first.item_attributes is not None
    assert second.item_attributes is not None
    assert set(first.item_attributes.columns) == set(second.item_attributes.columns) == {"title", "year", "genres"}
    assert first.titles is not None
    assert first.titles.equals(second.titles)
    for one, two in zip(*(a.columns.values() for a in (first.item_attributes, second.item_attributes)), strict=True):
        if isinstance(one, Numeric) and isinstance(two, Numeric):
            np.testing.assert_array_equal(one.value, two.value)
        if isinstance(one, MultiCategorical) and isinstance(two, MultiCategorical):
            assert one.values == two.values
            np.testing.assert_array_equal(one.offsets, two.offsets)
            np.testing.assert_array_equal(one.code, two.code)


def genre_columns() -> tuple[str, ...]:
    from matinee.data.readers.movielens import FLAGS

    return FLAGS
