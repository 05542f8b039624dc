"""Optimizer and learning-rate schedule: Adam and timm's schedulers, counted in steps."""

import torch
from timm.scheduler import CosineLRScheduler, MultiStepLRScheduler
from timm.scheduler.scheduler import Scheduler
from torch import nn

from workflows.experiment import Training


def build_optimizer(parameters: list[nn.Parameter], recipe: Training) -> torch.optim.Adam:
    """Adam as the recipe says, one fused kernel a step."""
    return torch.optim.Adam(parameters, lr=recipe.learning_rate, betas=recipe.betas, fused=True)


def build_scheduler(optimizer: torch.optim.Optimizer, recipe: Training, steps: int) -> Scheduler:
    """A scheduler whose `step_update(n)` sets the learning rate of step n in 0 … steps - 1.

    `paper` lowers 5e-5 to 2e-5 (× 0.4) after two thirds of training, as after 200 of the paper's 300 epochs.
    """
    common = {"warmup_t": recipe.warmup_steps, "warmup_lr_init": 0.0, "t_in_epochs": False}
    if recipe.warmup_steps:
        common["warmup_lr_init"] = recipe.learning_rate / (recipe.warmup_steps + 1)
    if recipe.schedule == "cosine":
        return CosineLRScheduler(optimizer, t_initial=steps, lr_min=0.0, cycle_limit=1, **common)
    last = round(steps * 2 / 3) if recipe.schedule == "paper" else steps
    milestones = [last + 1]  # timm counts from 1
    return MultiStepLRScheduler(optimizer, decay_t=milestones, decay_rate=0.4, **common)
