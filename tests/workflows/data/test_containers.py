"""Parquet files and LMDB folders: each image comes out as it went in, in any order, by any process."""

from pathlib import Path

import cv2
import lmdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.helpers import raises_naming, texture
from workflows.data import containers
from workflows.data.batches import Batches
from workflows.data.containers import parquet
from workflows.data.fractions import select
from workflows.data.image_reader import ImageReader
from workflows.data.manifest import read_table, scan, write_table
from workflows.data.sources import list_images

COUNT = 40


def png(number: int) -> bytes:
    return cv2.imencode(".png", texture(number, 20 + number % 5, 24))[1].tobytes()


@pytest.fixture(scope="module")
def images() -> list[bytes]:
    return [png(number) for number in range(COUNT)]


@pytest.fixture
def hugging_face(tmp_path, images) -> Path:
    """Two files as `datasets` writes ImageNet, with row groups of seven, and one of another split."""
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": data, "path": f"n01_{number}.png"} for number, data in enumerate(images)]
    for name, part in (("train-00000", slice(0, 25)), ("train-00001", slice(25, COUNT)), ("test-00000", slice(0, 3))):
        table = pa.table({"image": pa.array(rows[part], kind), "label": [n % 4 for n in range(COUNT)][part]})
        path = tmp_path / "data" / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(table, path, row_group_size=7, compression="snappy" if part.start == 0 else "none")
    return tmp_path


@pytest.fixture
def basicsr(tmp_path, images) -> Path:
    """An LMDB as BasicSR makes it, beside one of reduced images."""
    for name in ("DIV2K_train_HR_sub.lmdb", "DIV2K_train_LR_bicubic_X2_sub.lmdb"):
        with lmdb.open(str(tmp_path / name), map_size=1 << 22) as env, env.begin(write=True) as transaction:
            for number, data in enumerate(images):
                transaction.put(f"{number:04d}_s001".encode(), data)
        lines = [f"{number:04d}_s001.png (20,24,3) 1\n" for number in range(COUNT)]
        (tmp_path / name / "meta_info.txt").write_text("".join(lines))
    return tmp_path


@pytest.fixture(params=["hugging_face", "basicsr"])
def source(request) -> Path:
    return request.getfixturevalue(request.param)


def test_hugging_face_s_parquet_keeps_labels_names_and_order(hugging_face, images):
    found = scan(hugging_face)
    assert found.notes == ["left out because others have `train` in their path: data/test-00000.parquet"]
    assert len(found.images) == COUNT
    assert found.images["path"][0] == "data/train-00000/00-n01_0.png"
    assert found.images["path"][COUNT - 1] == f"data/train-00001/14-n01_{COUNT - 1}.png"
    assert found.images["class"].tolist() == [str(number % 4) for number in range(COUNT)]
    assert found.images["bytes"].tolist() == [len(data) for data in images]


def test_basicsr_s_lmdb_is_listed_by_its_meta_info_and_reduced_ones_are_left_out(basicsr, images):
    listing = list_images(basicsr)
    assert [entry.path for entry in listing.entries[:2]] == [
        "DIV2K_train_HR_sub/0000_s001.png",
        "DIV2K_train_HR_sub/0001_s001.png",
    ]
    assert [entry.bytes for entry in listing.entries] == [len(data) for data in images]
    assert len(listing.notes) == 1
    assert "LR_bicubic" in listing.notes[0]
    alone = list_images(basicsr / "DIV2K_train_HR_sub.lmdb")
    assert [entry.path for entry in alone.entries[:2]] == ["0000_s001.png", "0001_s001.png"]
    assert len(scan(basicsr / "DIV2K_train_HR_sub.lmdb").images) == COUNT


def test_any_order_of_reading_gives_the_files_that_went_in(source, images, tmp_path):
    write_table(scan(source).images, tmp_path / "m.csv")
    table = read_table(tmp_path / "m.csv")
    reader = ImageReader(table, source)
    order = np.random.default_rng(0).permutation(np.repeat(np.arange(COUNT), 2))
    for index in [*range(COUNT), *order.tolist()]:
        assert reader.read(index) == images[index]


def test_crops_are_those_of_plain_files_with_workers_too(source, images, tmp_path):
    for number, data in enumerate(images):
        path = tmp_path / "plain" / f"{number:03d}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    expected = Batches(scan(tmp_path / "plain").images, tmp_path / "plain", ["sr2"], 8, 6, 0)
    for workers in (0, 2):
        stream = Batches(scan(source).images, source, ["sr2"], 8, 6, 0, workers=workers).iterate()
        for n in range(10):
            assert next(stream).hr.equal(expected.load(n).hr)
        stream.close()


def test_a_fraction_of_a_parquet_source_is_read_by_row(hugging_face, images):
    chosen = select(scan(hugging_face).images, 0.3, seed=1)
    reader = ImageReader(chosen, hugging_face)
    for index, path in enumerate(chosen["path"]):
        assert reader.read(index) == images[int(path.split("_")[-1].removesuffix(".png"))]


def test_only_one_parquet_file_at_a_time_holds_decoded_rows(hugging_face):
    reader = ImageReader(scan(hugging_face).images, hugging_face)
    for index in (0, 30, 2, 39, 24, 25):
        reader.read(index)
        holding = [rows for rows in parquet._opened.values() if len(rows.images)]
        assert len(holding) == 1
        assert len(holding[0].images) <= 16


def test_a_plain_binary_column_is_read_and_another_shape_is_refused(tmp_path, images):
    pq.write_table(pa.table({"jpg": images[:3], "cls": ["a", "b", "a"]}), tmp_path / "x.parquet")
    assert scan(tmp_path).images["class"].tolist() == ["a", "b", "a"]
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "x.parquet")
    with raises_naming(ValueError, tmp_path / "x.parquet", "`bytes`", "text"):
        scan(tmp_path)
    (tmp_path / "x.parquet").write_bytes(b"PAR1 cut")
    with raises_naming(ValueError, tmp_path / "x.parquet"):
        scan(tmp_path)


def test_missing_bytes_in_a_row_are_a_rejection(tmp_path, images):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": images[0], "path": None}, {"bytes": None, "path": "elsewhere.png"}, None]
    pq.write_table(pa.table({"image": pa.array(rows, kind)}), tmp_path / "x.parquet")
    found = scan(tmp_path, max_undecodable=0.7)
    assert found.images["path"].tolist() == ["x/0"]
    assert found.rejected["reason"].tolist() == ["empty file", "empty file"]


def test_a_broken_lmdb_folder_is_named(tmp_path, basicsr):
    folder = basicsr / "DIV2K_train_HR_sub.lmdb"
    with open(folder / "meta_info.txt", "a", encoding="utf-8") as file:
        file.write("9999.png (20,24,3) 1\n")
    with raises_naming(ValueError, folder / "meta_info.txt", "9999.png"):
        list_images(basicsr)
    (folder / "meta_info.txt").unlink()
    with raises_naming(ValueError, folder, "meta_info.txt"):
        list_images(basicsr)
    with raises_naming(OSError, folder, "x/x.png"):
        containers.read(folder, "x.lmdb", "x/x.png", 0, 1)


def test_container_tables_name_their_container(source):
    table = scan(source).images
    assert isinstance(table, pd.DataFrame)
    assert set(table["archive"]) <= {
        "data/train-00000.parquet",
        "data/train-00001.parquet",
        "DIV2K_train_HR_sub.lmdb",
    }
