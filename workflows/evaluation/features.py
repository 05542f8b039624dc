"""IPT's patch features of an image, for similarity maps."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from ipt_models.files import replacing
from ipt_models.network import IPT
from workflows.evaluation.image_files import ImageError
from workflows.evaluation.inputs import as_batch, decode, degraded_pixels
from workflows.evaluation.protocol import Protocol
from workflows.evaluation.sets import Job

# More patches per side make a map hard to read and its file large.
MOST_PATCHES = 32
WINDOWS_AT_A_TIME = 16


@torch.inference_mode()
def patch_features(model: IPT, pixels: np.ndarray, task: str) -> tuple[np.ndarray, np.ndarray]:
    """The features that the contrastive loss compares, for the middle of an image.

    The network sees one window at a time; whole windows are placed side by side, as many as fit and `MOST_PATCHES` allows.

    Args:
        model: in evaluation mode.
        pixels: the degraded image, (h, w, 3) on the 0-255 scale, no side shorter than the network's `patch_size`.
        task: which head and task embedding.

    Returns:
        The part of the image, uint8 (H, W, 3), and its features, float32 (H / patch_dim, W / patch_dim, D).

    Raises:
        ImageError: the image is smaller than one window.
    """
    size, grid = model.patch_size, model.patch_size // model.patch_dim
    if min(pixels.shape[:2]) < size:
        raise ImageError(f"{pixels.shape[1]}x{pixels.shape[0]} pixels hold no window of {size}x{size}")
    down, across = (min(side // size, max(1, MOST_PATCHES // grid)) for side in pixels.shape[:2])
    top, left = (pixels.shape[0] - down * size) // 2, (pixels.shape[1] - across * size) // 2
    area = pixels[top : top + down * size, left : left + across * size]
    device = next(model.parameters()).device
    windows = as_batch(area)[0].unfold(1, size, size).unfold(2, size, size)  # (3, down, across, size, size)
    windows = windows.permute(1, 2, 0, 3, 4).flatten(0, 1)
    features = torch.cat(
        [model(some.to(device), task, return_features=True)[1] for some in windows.split(WINDOWS_AT_A_TIME)]
    )
    features = features.float().cpu().unflatten(1, (grid, grid)).unflatten(0, (down, across))
    features = features.permute(0, 2, 1, 3, 4).flatten(0, 1).flatten(1, 2)
    return np.rint(area.clip(0, 255)).astype("uint8"), features.numpy()


def export_features(
    model: IPT,
    jobs: Sequence[Job],
    protocol: Protocol,
    folder: Path,
    only: Collection[str] | None = None,
) -> list[str]:
    """Write `<task>/<set>/<image>.npz` below a folder, with the arrays `image` and `features` of `patch_features`.

    Features are stored in half precision, which is enough for cosine similarities.

    Args:
        model: in evaluation mode, with a head for each job's task.
        only: names of images; None writes all.

    Returns:
        A line for each image that could not be read or is too small.
    """
    failures = []
    work = [(job, sample) for job in jobs for sample in job.samples if only is None or sample.image in only]
    for job, sample in tqdm(work, unit="image", disable=None):
        try:
            files = decode(sample, job.task)
            degraded = degraded_pixels(files, job.request, sample, job.task, protocol.with_gray(job.request.gray))
            image, features = patch_features(model, degraded, job.task.name)
        except ImageError as error:
            failures.append(f"{sample.target}: {error}")
            continue
        with replacing(folder / job.task.name / job.request.label / f"{sample.image}.npz") as temporary:
            np.savez_compressed(temporary, image=image, features=features.astype("float16"))
    return failures
