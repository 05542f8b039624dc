"""Two processes: gloo on one card, NCCL on two."""

import os
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from benchmarks.gpu.bench import Bench, gradient, relative
from benchmarks.gpu.registry import Line, at_most
from ipt_models.contrastive import contrastive_loss
from workflows.training.objective import l1_loss

WEIGHT = 0.1


def two_processes(bench: Bench) -> Iterator[Line]:
    """The gradient of a batch that two processes share, including the contrastive loss, against one process's."""
    rows = 2 * bench.sizes.rows
    expected = compute(bench, rows=slice(0, rows))
    two_cards = torch.cuda.device_count() >= 2
    backend = "nccl" if two_cards else "gloo"
    folder = bench.folder / "processes"
    folder.mkdir()
    torch.multiprocessing.spawn(share, (str(bench.device), str(folder), rows, two_cards), nprocs=2)
    for rank in range(2):
        gradients = torch.load(folder / f"{rank}.pt", weights_only=True)
        yield at_most(f"{backend}, process {rank + 1} of 2", relative(gradients, expected), 1e-3, "relative")


def share(rank: int, device: str, folder: str, rows: int, two_cards: bool) -> None:
    """One of the two processes."""
    torch.set_num_threads(1)
    os.environ["LOCAL_RANK"] = str(rank)
    bench = Bench(device, Path(folder))
    if bench.cuda:
        bench.device = torch.device("cuda", rank if two_cards else 0)
        torch.cuda.set_device(bench.device)
    rendezvous = f"file://{folder}/rendezvous"
    dist.init_process_group("nccl" if two_cards else "gloo", rendezvous, rank=rank, world_size=2)
    half = rows // 2
    torch.save(compute(bench, slice(rank * half, (rank + 1) * half)), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def compute(bench: Bench, rows: slice) -> Tensor:
    """The gradient of some rows of a batch; under torch.distributed that of all rows."""
    several = dist.is_initialized()
    network = bench.network(bench.sizes.small).to(bench.device)
    model = DistributedDataParallel(network, broadcast_buffers=False) if several else network
    x, y = (tensor[rows].to(bench.device) for tensor in bench.pairs(bench.sizes.small, 2 * bench.sizes.rows))
    output, features = model(x, "sr2", return_features=True)
    (l1_loss(output, y) + WEIGHT * contrastive_loss(features, gather=several)).backward()
    return gradient(network)
