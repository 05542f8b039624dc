"""What all tests share: one thread a process, and where the real images are."""

import os
from pathlib import Path

import pytest

from tests.helpers import SHARED_DATA

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads slow each other down on busy cores


# Files that take longest, begun first so that the processes end together. Slowest first.
LONG = ["test_pipeline.py", "test_pieces.py", "test_own_networks.py", "test_processes.py", "test_data.py"]
LONG += ["test_loop.py", "test_verify.py", "test_dependencies.py", "test_gpu.py", "test_html.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the standard sets and real ImageNet images, beside the checkout; they may not be distributed."""
    root = Path(os.environ.get("IPT_TEST_DATA", SHARED_DATA))
    if not (root / "benchmark").is_dir():
        pytest.skip(f"no benchmark images at {root}: set IPT_TEST_DATA to a folder with benchmark/ and imagenet/")
    return root
