"""What all tests share: one thread a process, and where the real images are."""

import os
from pathlib import Path

import pytest

from tests.helpers import SHARED_DATA

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads slow each other down on busy cores


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The pipeline takes longest: it goes first, so that the other processes are busy beside it."""
    items.sort(key=lambda item: item.path.name != "test_pipeline.py")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the standard sets and real ImageNet images, beside the checkout; they may not be distributed."""
    root = Path(os.environ.get("IPT_TEST_DATA", SHARED_DATA))
    if not (root / "benchmark").is_dir():
        pytest.skip(f"no benchmark images at {root}: set IPT_TEST_DATA to a folder with benchmark/ and imagenet/")
    return root
