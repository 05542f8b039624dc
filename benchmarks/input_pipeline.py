"""Speed of making training pairs from real JPEGs, against the straightforward pipeline that a user would write.

Run as `python -m benchmarks.input_pipeline --root FOLDER`, FOLDER with `train/<class>/*.JPEG` as in ImageNet. Every pipeline
makes pairs of 48 x 48 and 96 x 96 pixels for x2, with its degradation on the CPU. They alternate, `--rounds` times, and
medians are reported. Other users of the machine affect pairs per second, but hardly pairs per core-second (over all
processes). Decoded images are not cached between blocks of images, as with a large data set.

The same images are also read from every other kind of source: a tar archive, Hugging Face's parquet files and BasicSR's LMDB
hold the JPEG files as they are; pairs bring inputs reduced beforehand (PNG), so that nothing is degraded in training.
"""

import argparse
import io
import os
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median

import cv2
import lmdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from benchmarks.hardware import report
from workflows.command_line import exit_status
from workflows.data.batches import Batches
from workflows.data.degradations import bicubic_resize, make_pairs
from workflows.data.manifest import Pairs, scan

PATCH, SCALE, BATCH = 48, 2, 256
PAIRS_PER_SECOND, TIMES_PER_ITEM = 1000, 8  # goals on two cores


class PerItem(Dataset):
    """The straightforward pipeline: for each item, PIL decodes a file, one crop is cut and reduced by basicsr's `imresize`."""

    def __init__(self, root: Path, table: pd.DataFrame) -> None:
        self._paths = [root / path for path in table["path"]]

    def __len__(self) -> int:
        return 1 << 30

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        import baselines.basicsr_alias  # noqa: F401, I001
        from basicsr.utils.matlab_functions import imresize

        rng = np.random.default_rng(index)
        image = np.asarray(Image.open(self._paths[rng.integers(len(self._paths))]).convert("RGB"))
        side = PATCH * SCALE
        top, left = (rng.integers(0, size - side + 1) for size in image.shape[:2])
        target = image[top : top + side, left : left + side].astype(np.float32) / 255
        if rng.random() < 0.5:
            target = target[:, ::-1]
        reduced = imresize(np.ascontiguousarray(target), 1 / SCALE)
        return tuple(torch.from_numpy(np.ascontiguousarray(x)).permute(2, 0, 1) for x in (reduced, target))


def per_item(root: Path, table: pd.DataFrame, workers: int) -> Iterator[int]:
    for x, _ in DataLoader(PerItem(root, table), batch_size=32, num_workers=workers, worker_init_fn=_one_thread):
        yield len(x)


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)
    import baselines.basicsr_alias  # noqa: F401, I001
    import basicsr.utils.matlab_functions  # noqa: F401


def batches(root: Path, table: pd.DataFrame, workers: int, crops_per_image: int) -> Batches:
    return Batches(table, root, [f"sr{SCALE}"], PATCH, BATCH, 0, crops_per_image, workers=workers, cache_bytes=0)


def ours(root: Path, table: pd.DataFrame, workers: int, crops_per_image: int) -> Iterator[int]:
    stream = batches(root, table, workers, crops_per_image).iterate()
    try:
        for batch in stream:
            x, _ = make_pairs(batch, PATCH, seed=0)
            yield len(x)
    finally:
        stream.close()


def sources(root: Path, table: pd.DataFrame, folder: Path) -> dict[str, tuple[Path, pd.DataFrame]]:
    """The images of `table` as every kind of source below `folder`; returns each one's root and table."""
    files = {f"{number:05d}": (root / path).read_bytes() for number, path in enumerate(table["path"])}
    places = {name: folder / name for name in ("tar", "parquet", "lmdb", "pairs")}
    for place in places.values():
        place.mkdir()
    with tarfile.open(places["tar"] / "train.tar", "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"{name}.jpg")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = pa.array([{"bytes": data, "path": f"{name}.jpg"} for name, data in files.items()], kind)
    images = pa.table({"image": rows, "label": [0] * len(files)})
    pq.write_table(images, places["parquet"] / "train-00000.parquet", row_group_size=100)
    size = 2 * sum(map(len, files.values())) + (1 << 24)
    with lmdb.open(str(places["lmdb"]), map_size=size) as database, database.begin(write=True) as transaction:
        for name, data in files.items():
            transaction.put(name.encode(), data)
    lines = [f"{name}.jpg (1,1,3) 1\n" for name in files]
    (places["lmdb"] / "meta_info.txt").write_text("".join(lines), encoding="utf-8")
    for name, data in files.items():
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
        pixels = pixels[: pixels.shape[0] // SCALE * SCALE, : pixels.shape[1] // SCALE * SCALE]
        reduced = bicubic_resize(torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()), 1 / SCALE)[0].numpy()
        for part, image in (("targets", pixels), ("inputs", reduced.transpose(1, 2, 0))):
            place = places["pairs"] / part
            place.mkdir(exist_ok=True)
            cv2.imwrite(str(place / f"{name}.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    pairs = {"pairs": Pairs("inputs", "targets", SCALE)}
    return {name: (place, scan(place, PATCH * SCALE, pairs=pairs.get(name)).images) for name, place in places.items()}


def measure(make: Callable[[], Iterator[int]], seconds: float, warm_up: int) -> dict[str, float]:
    """Pairs per second and per core-second after `warm_up` batches, and the size of the largest worker."""
    stream = make()
    for _ in range(warm_up):
        next(stream)
    started, spent, pairs = time.perf_counter(), core_seconds(), 0
    while time.perf_counter() - started < seconds:
        pairs += next(stream)
    elapsed, spent = time.perf_counter() - started, core_seconds() - spent
    memory = max((private_megabytes(child) for child in children()), default=0)
    stream.close()
    return {
        "pairs_per_second": pairs / elapsed,
        "pairs_per_core_second": pairs / spent,
        "megabytes_per_worker": memory,
    }


def children() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="utf-8").split()


def core_seconds() -> float:
    """Processor time of this process and its present workers."""
    stats = [Path(f"/proc/{child}/stat").read_text(encoding="utf-8").rpartition(")")[2].split() for child in children()]
    return time.process_time() + sum(int(stat[11]) + int(stat[12]) for stat in stats) / os.sysconf("SC_CLK_TCK")


def private_megabytes(process: str) -> float:
    """A process's private memory, without pages shared with its parent."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1000


def decoders() -> dict[str, Callable[[bytes], object]]:
    """The installed libraries that decode JPEG to RGB."""
    libraries: dict[str, Callable[[bytes], object]] = {
        "PIL": lambda data: np.asarray(Image.open(io.BytesIO(data)).convert("RGB")),
        "OpenCV": lambda data: cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB),
    }
    with suppress(ImportError):
        from torchvision.io import ImageReadMode, decode_jpeg

        libraries["torchvision"] = lambda data: decode_jpeg(
            torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=ImageReadMode.RGB
        )
    with suppress(ImportError):
        import simplejpeg

        libraries["simplejpeg"] = lambda data: simplejpeg.decode_jpeg(data, "RGB")
    with suppress(ImportError, RuntimeError):
        import turbojpeg

        library = turbojpeg.TurboJPEG()
        libraries["PyTurboJPEG"] = lambda data: library.decode(data, pixel_format=turbojpeg.TJPF_RGB)
    return libraries


def compare_decoders(files: list[Path], rounds: int) -> list[dict[str, object]]:
    """One row per library: milliseconds of one core per image, the minimum over rounds.

    Files that any of them cannot decode are left out.
    """
    contents, libraries = [file.read_bytes() for file in files], decoders()

    def decodes(data: bytes) -> bool:
        with suppress(Exception):
            return all(decode(data) is not None for decode in libraries.values())
        return False

    contents = [data for data in contents if decodes(data)]
    times: dict[str, list[float]] = {name: [] for name in libraries}
    for _ in range(rounds):
        for name, decode in libraries.items():
            started = time.process_time()
            for data in contents:
                decode(data)
            times[name].append((time.process_time() - started) / len(contents) * 1000)
    packages = {"PIL": "pillow", "OpenCV": "opencv-python-headless"}
    return [
        {
            "library": name,
            "version": version(packages.get(name, name)),
            "images": len(contents),
            "milliseconds_per_image": min(values),
        }
        for name, values in times.items()
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder with train/<class>/*.JPEG")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--crops-per-image", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=10, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-decoders", action="store_true", help="leave the comparison of decoding libraries out")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/measured"), help="folder for the tables")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as folder:
        return compare_pipelines(options, Path(folder))


def compare_pipelines(options: argparse.Namespace, folder: Path) -> int:
    """Measure all pipelines; returns the exit status."""
    table = scan(options.root, min_side=PATCH * SCALE).images
    pipelines: dict[str, tuple[Callable[[], Iterator[int]], int]] = {
        "ours": (lambda: ours(options.root, table, options.workers, options.crops_per_image), 16),
        "ours, one crop per image": (lambda: ours(options.root, table, options.workers, 1), 8),
        "per item": (lambda: per_item(options.root, table, options.workers), 4),
    }
    for name, (root, images) in sources(options.root, table, folder).items():
        pipelines[f"ours, {name}"] = (partial(ours, root, images, options.workers, options.crops_per_image), 16)
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in pipelines}
    for _ in range(options.rounds):
        for name, (make, warm_up) in pipelines.items():
            rounds[name].append(measure(make, options.seconds, warm_up))
    result = {
        name: {key: median(one[key] for one in each_round) for key in each_round[0]}
        for name, each_round in rounds.items()
    }
    fast, slow = result["ours"], result["per item"]
    settings = {"images": len(table), "workers": options.workers}
    crops = dict.fromkeys(pipelines, options.crops_per_image) | {"ours, one crop per image": 1, "per item": 1}
    stated = {
        name: batches(options.root, table, options.workers, crops[name]).bytes_per_worker / 1e6
        for name in pipelines
        if name != "per item"
    }
    rows = [
        {
            **settings,
            "pipeline": name,
            "crops_per_image": crops[name],
            **measured,
            "stated_megabytes_per_worker": stated.get(name),
            "times_per_item": measured["pairs_per_second"] / slow["pairs_per_second"],
            "load": os.getloadavg()[0],
        }
        for name, measured in result.items()
    ]
    report(rows, options.out / "input_pipeline.csv", options.workers)
    if not options.no_decoders:
        files = [options.root / path for path in table["path"][:150]]
        report(compare_decoders(files, options.rounds), options.out / "decoders.csv", threads=1)
    met = (
        fast["pairs_per_second"] >= PAIRS_PER_SECOND
        and fast["pairs_per_second"] >= TIMES_PER_ITEM * slow["pairs_per_second"]
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(exit_status(main, (ValueError, OSError)))
