"""A small IPT for x2, trained for a minute or two on synthetic images, for tests that an untrained network cannot serve.

`python -m benchmarks.tiny_training --num-feat 4 --num-heads 4 --depth 1 --steps 2000 OUT` makes the checkpoint for the tests
of whole-image inference. Experiments train with `python -m workflows.training` instead.
"""

import argparse
import math
import sys
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import trange

from baselines.bicubic import bicubic_resize
from ipt_models import IPT, build, save
from workflows.command_line import exit_status
from workflows.data.dead_leaves import draw

IMAGES, SIDE, BATCH = 128, 192, 16
LEARNING_RATE, WARM_UP, CLIP = 2e-3, 50, 20.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--variant", default="ipt_tiny")
    parser.add_argument("--num-feat", type=int)
    parser.add_argument("--num-heads", type=int)
    parser.add_argument("--depth", type=int)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    sizes = {name: getattr(options, name) for name in ("num_feat", "num_heads", "depth") if getattr(options, name)}
    torch.manual_seed(0)
    model = build(options.variant, ("sr2",), **sizes)
    train(model, options.steps)
    save(model, options.out, {"model": "IPT", "steps": str(options.steps)})


def train(model: IPT, steps: int) -> None:
    """L1 on the 0-255 scale, Adam, a cosine to zero; the same weights each time on one machine."""
    high = torch.stack([torch.from_numpy(draw(0, index, SIDE)).permute(2, 0, 1) for index in range(IMAGES)])
    low = bicubic_resize(high, 1 / 2)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, fused=True)
    generator = torch.Generator().manual_seed(0)
    bar = trange(steps, unit="step")
    for step in bar:
        rate = LEARNING_RATE * min(1, (step + 1) / WARM_UP) * (1 + math.cos(math.pi * step / steps)) / 2
        optimizer.param_groups[0]["lr"] = rate
        x, y = crops(low, high, model.patch_size, generator)
        loss = 255 * F.l1_loss(model(x), y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, CLIP)
        optimizer.step()
        optimizer.zero_grad()
        if step % 50 == 0:
            bar.set_postfix(l1=f"{loss.item():.2f}")


def crops(low: Tensor, high: Tensor, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A batch of pairs in [0, 1], flipped or rotated together."""
    chosen = torch.randint(len(low), (BATCH,), generator=generator).tolist()
    corners = torch.randint(low.shape[-1] - size + 1, (BATCH, 2), generator=generator).tolist()
    flip, turns = torch.randint(4, (2,), generator=generator).tolist()

    def cut(images: Tensor, scale: int) -> Tensor:
        side = scale * size
        places = zip(chosen, corners, strict=True)
        batch = torch.stack([images[i, :, scale * top :, scale * left :][:, :side, :side] for i, (top, left) in places])
        batch = batch.flip(3) if flip % 2 else batch
        return batch.rot90(turns, (2, 3)).float() / 255

    return cut(low, 1), cut(high, 2)


if __name__ == "__main__":
    sys.exit(exit_status(main, (ValueError, OSError)))
