"""The Image Processing Transformer: heads, encoder, decoder with a task embedding, tails.

Chen et al., "Pre-Trained Image Processing Transformer", CVPR 2021, section 3.1, in the form of the authors' released
inference code, with which it agrees up to rounding (`official.py` loads their checkpoints). Read from top to bottom:
convolutions, attention, the two kinds of layer, position encodings, the network.

Shapes: B images, C = num_feat, P = patch_dim, N = (patch_size / P)² tokens, D = embed_dim = C·P².
"""

import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from huggingface_hub import ModelCard, PyTorchModelHubMixin
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ipt_models import weights_file
from ipt_models.arguments import check_choice, check_flags, check_whole
from ipt_models.mean_shift import RGB_RANGE, MeanShift
from ipt_models.tasks import parse_task

Position = Literal["none", "learned", "learned_every_layer", "sincos2d", "relative"]


class ResBlock(nn.Module):
    """5×5 conv, ReLU, 5×5 conv, plus the input."""

    def __init__(self, num_feat: int):
        super().__init__()
        self.conv1 = nn.Conv2d(num_feat, num_feat, 5, padding=2)
        self.conv2 = nn.Conv2d(num_feat, num_feat, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu_(self.conv1(x)))


def make_head(num_feat: int) -> nn.Sequential:
    """From RGB to features, (B, 3, H, W) -> (B, C, H, W)."""
    return nn.Sequential(nn.Conv2d(3, num_feat, 3, padding=1), ResBlock(num_feat), ResBlock(num_feat))


def make_tail(num_feat: int, scale: int) -> nn.Sequential:
    """From features to RGB at `scale` times the size, (B, C, H, W) -> (B, 3, sH, sW)."""
    steps = {1: [], 2: [2], 3: [3], 4: [2, 2]}[scale]
    upsample = [
        layer
        for factor in steps
        for layer in (nn.Conv2d(num_feat, num_feat * factor**2, 3, padding=1), nn.PixelShuffle(factor))
    ]
    return nn.Sequential(*upsample, nn.Conv2d(num_feat, 3, 3, padding=1))


class Attention(nn.Module):
    """Multi-head attention without any bias; query, key and value may differ. No attention map is kept."""

    def __init__(self, embed_dim: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.in_proj = nn.Linear(embed_dim, 3 * embed_dim, bias=False)  # rows: query, key, value
        self.out_proj = nn.Linear(embed_dim, embed_dim, bias=False)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
        """(B, N, D) each -> (B, N, D); `bias` (1, heads, N, N) is added to the logits."""
        return self.mix(*self.project(query, key, value), bias)

    def mix(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
        """Attention and output projection of projected query, key and value."""
        q, k, v = (x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for x in (query, key, value))
        x = attend(q, k, v, bias)  # (B, heads, N, D/heads)
        return self.out_proj(x.transpose(1, 2).flatten(2))

    def project(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
        """The projections, with one matrix product for inputs that are the same tensor."""
        if query is key and key is value:
            return self.in_proj(query).chunk(3, dim=-1)
        if query is key:
            dim, weight = query.shape[-1], self.in_proj.weight
            both, last = weight.split((2 * dim, dim))
            return *F.linear(query, both).chunk(2, dim=-1), F.linear(value, last)
        return self.project_query(query), *self.project_memory(key, value)

    def project_query(self, query: Tensor) -> Tensor:
        return F.linear(query, self.in_proj.weight[: query.shape[-1]])

    def project_memory(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Key and value, with one matrix product if they are the same tensor."""
        dim = key.shape[-1]
        both = self.in_proj.weight[dim:]
        if key is value:
            projected_key, projected_value = F.linear(key, both).chunk(2, dim=-1)
            return projected_key, projected_value
        return F.linear(key, both[:dim]), F.linear(value, both[dim:])


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    """torch's fused attention; on a CPU in float32, because the backward pass of its bfloat16 kernel is slow."""
    if q.dtype != torch.bfloat16 or q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    bias = None if bias is None else bias.float()
    with torch.autocast("cpu", enabled=False):
        return F.scaled_dot_product_attention(q.float(), k.float(), v.float(), attn_mask=bias).to(q.dtype)


class MLP(nn.Module):
    """D -> 4D, ReLU, 4D -> D."""

    def __init__(self, embed_dim: int):
        super().__init__()
        self.fc1 = nn.Linear(embed_dim, 4 * embed_dim)
        self.fc2 = nn.Linear(4 * embed_dim, embed_dim)

    def forward(self, x: Tensor, norm: nn.Module | None = None) -> Tensor:
        """`norm` is applied first."""
        x = self.fc1(x) if norm is None else norm_and_project(norm, self.fc1, x)
        return self.fc2(F.relu_(x))


# Values of `x` from which `norm_and_project` keeps only `x`. The bookkeeping takes about a millisecond, as long as a small layer.
KEEPS_INPUT_ALONE = {"cpu": 2**19, "cuda": 2**22}


def norm_and_project(norm: nn.Module, project: Callable[[Tensor], Any], x: Tensor) -> Any:
    """`project(norm(x))`; of large `x` only `x` is kept, and the backward pass computes the norm again: the same bits.

    `project` is one matrix product; recomputation stops before it, when its input is restored.
    """
    if isinstance(norm, nn.Identity) or not torch.is_grad_enabled() or torch.compiler.is_compiling():
        return project(norm(x))  # torch.compile chooses what to recompute itself
    if x.numel() < KEEPS_INPUT_ALONE.get(x.device.type, 0):
        return project(norm(x))
    return checkpoint(lambda x: project(norm(x)), x, use_reentrant=False, preserve_rng_state=False)


def add(x: Tensor, embedding: Tensor | None) -> Tensor:
    """`x` itself if there is nothing to add, so that `Attention.project` gets the same tensor."""
    return x if embedding is None else x + embedding


class EncoderLayer(nn.Module):
    """Pre-norm self-attention and MLP."""

    def __init__(self, embed_dim: int, num_heads: int, norm: bool, relative_grid: int | None):
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dim) if norm else nn.Identity()
        self.attn = Attention(embed_dim, num_heads)
        self.attn_bias = make_relative_bias(relative_grid, num_heads)
        self.norm2 = nn.LayerNorm(embed_dim) if norm else nn.Identity()
        self.mlp = MLP(embed_dim)

    def forward(self, x: Tensor, pos: Tensor | None) -> Tensor:
        """x (B, N, D); `pos` (N, D) is added to query and key, not to the value."""
        bias = get_bias(self.attn_bias)
        if pos is None:
            projected = norm_and_project(self.norm1, lambda y: self.attn.project(y, y, y), x)
        else:  # two products, of which the first would be recomputed
            y = self.norm1(x)
            query = y + pos
            projected = self.attn.project(query, query, y)
        x = x + self.attn.mix(*projected, bias)
        return x + self.mlp(x, self.norm2)


class DecoderLayer(nn.Module):
    """Pre-norm self-attention, cross-attention to the encoder's output, and MLP."""

    def __init__(self, embed_dim: int, num_heads: int, norm: bool, relative_grid: int | None):
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dim) if norm else nn.Identity()
        self.self_attn = Attention(embed_dim, num_heads)
        self.self_attn_bias = make_relative_bias(relative_grid, num_heads)
        self.norm2 = nn.LayerNorm(embed_dim) if norm else nn.Identity()
        self.cross_attn = Attention(embed_dim, num_heads)
        self.cross_attn_bias = make_relative_bias(relative_grid, num_heads)
        self.norm3 = nn.LayerNorm(embed_dim) if norm else nn.Identity()
        self.mlp = MLP(embed_dim)

    def forward(self, x: Tensor, memory: Tensor, task_embed: Tensor | None, pos: Tensor | None) -> Tensor:
        """x and memory (B, N, D).

        `task_embed` (N, D) is added to query and key of the self-attention and to the query of the cross-attention,
        `pos` (N, D) only to the key of the cross-attention; values stay unchanged.
        """
        y = self.norm1(x)
        query = add(y, task_embed)
        x = x + self.self_attn(query, query, y, get_bias(self.self_attn_bias))
        query = norm_and_project(self.norm2, lambda y: self.cross_attn.project_query(add(y, task_embed)), x)
        key, value = self.cross_attn.project_memory(add(memory, pos), memory)
        x = x + self.cross_attn.mix(query, key, value, get_bias(self.cross_attn_bias))
        return x + self.mlp(x, self.norm3)


def make_relative_bias(grid: int | None, num_heads: int) -> nn.Module | None:
    """A learned bias on the logits for each head and each offset between two tokens of a grid × grid window (Swin's)."""
    if grid is None:
        return None
    from timm.layers import RelPosBias  # timm takes seconds to import

    return RelPosBias(window_size=(grid, grid), num_heads=num_heads)


def get_bias(module: nn.Module | None) -> Tensor | None:
    return None if module is None else module.get_bias()  # ty: ignore[not-callable]


class IPT(nn.Module, PyTorchModelHubMixin):
    """The Image Processing Transformer.

    Args:
        tasks: names of the tasks (`sr2`, `dn30`, `dr`, …); each has its own head, task embedding and tail.
        num_feat: C, channels of heads and tails.
        patch_dim: P, side of the patch of features that makes one token.
        patch_size: height and width of the input; a multiple of `patch_dim`.
        num_heads: attention heads; a divisor of C·P².
        depth: layers of the encoder, and of the decoder.
        position: the position encoding. `none`; `learned`, added once before the encoder (the authors'
            default); `learned_every_layer`, added to query and key of each encoder layer and to the key of each
            cross-attention (the authors' other switch); `sincos2d`, fixed sines and cosines added once; `relative`,
            a learned bias for each offset, head and attention (Swin's, from timm), with which CPU kernels store the attention
            map in training.
        norm: whether the layers have LayerNorms.
        mlp: False omits the first Linear, the last MLP and the task embedding (but not the layers' own MLPs).
        gradient_checkpointing: recompute the layers' activations in the backward pass; an attribute that may be changed at
            any time.

    Initialisation follows the authors' code: layers of the encoder start as copies of one another, as do those of the
    decoder; joint projections are Kaiming-uniform (a = √5) in the encoder and Xavier-uniform in the decoder; position and
    task embeddings are N(0, 1); without norms the weights of Linear layers, joint projections aside, are drawn for each layer
    from a normal distribution of standard deviation 1/fan_in; everything else is torch's default. How the published
    checkpoints were initialised is not known: their training code was not released in PyTorch. The `relative` bias (N(0,
    0.02²), timm's) is not part of the authors' code.

    Raises:
        ValueError: for sizes that do not fit together or an unknown task or position.
    """

    def __init__(
        self,
        tasks: Sequence[str] = ("sr2",),
        num_feat: int = 64,
        patch_dim: int = 3,
        patch_size: int = 48,
        num_heads: int = 12,
        depth: int = 12,
        position: Position = "learned",
        norm: bool = True,
        mlp: bool = True,
        gradient_checkpointing: bool = False,
    ):
        super().__init__()
        check_whole(num_feat=num_feat, patch_dim=patch_dim, patch_size=patch_size, num_heads=num_heads, depth=depth)
        check_flags(norm=norm, mlp=mlp, gradient_checkpointing=gradient_checkpointing)
        check_choice(get_args(Position), position=position)
        check_sizes(tasks, num_feat, patch_dim, patch_size, num_heads, position)
        embed_dim = num_feat * patch_dim**2
        grid = patch_size // patch_dim
        self.tasks = tuple(tasks)
        self.patch_dim = patch_dim
        self.patch_size = patch_size
        self.position = position
        self.gradient_checkpointing = gradient_checkpointing
        self.config = {
            "num_feat": num_feat,
            "patch_dim": patch_dim,
            "patch_size": patch_size,
            "num_heads": num_heads,
            "depth": depth,
            "position": position,
            "norm": norm,
            "mlp": mlp,
        }

        self.sub_mean = MeanShift(-1)
        self.add_mean = MeanShift(1)
        self.heads = nn.ModuleDict({task: make_head(num_feat) for task in self.tasks})
        self.tails = nn.ModuleDict({task: make_tail(num_feat, parse_task(task).scale) for task in self.tasks})

        if position in ("learned", "learned_every_layer"):
            self.pos_embed = nn.Parameter(_normal(grid**2, embed_dim))
        elif position == "sincos2d":
            from timm.layers import build_sincos2d_pos_embed  # timm takes seconds to import

            self.register_buffer("pos_embed", build_sincos2d_pos_embed([grid, grid], embed_dim), persistent=False)
        else:
            self.pos_embed = None

        self.embed = nn.Linear(embed_dim, embed_dim) if mlp else None
        self.task_embed = None
        if mlp:
            self.task_embed = nn.ParameterDict({task: _normal(grid**2, embed_dim) for task in self.tasks})
        relative_grid = grid if position == "relative" else None
        encoder_layer = EncoderLayer(embed_dim, num_heads, norm, relative_grid)
        decoder_layer = DecoderLayer(embed_dim, num_heads, norm, relative_grid)
        nn.init.xavier_uniform_(decoder_layer.self_attn.in_proj.weight)
        nn.init.xavier_uniform_(decoder_layer.cross_attn.in_proj.weight)
        self.encoder = nn.ModuleList(deepcopy(encoder_layer) for _ in range(depth))
        self.decoder = nn.ModuleList(deepcopy(decoder_layer) for _ in range(depth))
        self.mlp = MLP(embed_dim) if mlp else None

        if not norm:
            for name, module in self.named_modules():
                if isinstance(module, nn.Linear) and not name.endswith("in_proj"):
                    nn.init.normal_(module.weight, std=1 / module.in_features)

    def forward(
        self, x: Tensor, task: str | None = None, return_features: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Restore patches.

        Args:
            x: RGB in [0, 1], (B, 3, patch_size, patch_size). For whole images see `ipt_models.restore`.
            task: selects head, task embedding and tail; optional if the network has only one.
            return_features: also return the features that the contrastive loss compares.

        Returns:
            RGB on the [0, 1] scale, not clipped, (B, 3, s·patch_size, s·patch_size) with the task's scale s; with
            `return_features` also the decoder's features, (B, N, D).

        Raises:
            ValueError: for an unknown task or a wrong shape.
        """
        task = self.resolve(task)
        if x.ndim != 4 or x.shape[1:] != (3, self.patch_size, self.patch_size):
            size = self.patch_size
            raise ValueError(
                f"input of shape {tuple(x.shape)}: expected (B, 3, {size}, {size}); see ipt_models.restore"
            )
        x = self.heads[task](self.sub_mean(x * RGB_RANGE))  # (B, C, H, W)
        features = self.transform(self.to_tokens(x), task)  # (B, N, D)
        y = self.add_mean(self.tails[task](x + self.to_image(features))) / RGB_RANGE
        return (y, features) if return_features else y

    def transform(self, tokens: Tensor, task: str) -> Tensor:
        """Encoder and decoder, (B, N, D) -> (B, N, D)."""
        x = tokens if self.embed is None else tokens + self.embed(tokens)
        pos_every_layer = self.pos_embed if self.position == "learned_every_layer" else None
        if self.pos_embed is not None and pos_every_layer is None:
            x = x + self.pos_embed
        for layer in self.encoder:
            x = self.run(layer, x, pos_every_layer)
        memory = x
        task_embed = None if self.task_embed is None else self.task_embed[task]
        for layer in self.decoder:
            x = self.run(layer, x, memory, task_embed, pos_every_layer)
        return x if self.mlp is None else x + self.mlp(x)

    def run(self, layer: nn.Module, *inputs: Tensor | None) -> Tensor:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return checkpoint(layer, *inputs, use_reentrant=False)
        return layer(*inputs)

    def to_tokens(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, N, D): patches in row-major order, each flattened as (C, P, P)."""
        p = self.patch_dim
        x = x.unflatten(3, (-1, p)).unflatten(2, (-1, p))  # (B, C, H/P, P, W/P, P)
        return x.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)

    def to_image(self, tokens: Tensor) -> Tensor:
        """The inverse of `to_tokens`."""
        p, grid = self.patch_dim, self.patch_size // self.patch_dim
        x = tokens.unflatten(2, (-1, p, p)).unflatten(1, (grid, grid))  # (B, H/P, W/P, C, P, P)
        return x.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)

    def resolve(self, task: str | None) -> str:
        """The name of one of this network's tasks; None means its only one."""
        if task is None and len(self.tasks) == 1:
            return self.tasks[0]
        if task not in self.tasks:
            raise ValueError(f"unknown task {task!r}: this network has {', '.join(self.tasks)}")
        return task

    def _save_pretrained(self, save_directory: Path) -> None:
        """The files of `save_pretrained` besides the model card: this project's `model.safetensors`, and `config.json`."""
        built_from = {"variant": "ipt_base", "kwargs": self.config, "tasks": list(self.tasks)}
        weights_file.write(self.state_dict(), save_directory / "model.safetensors", built_from)
        config = json.dumps({"tasks": self.tasks, **self.config}, indent=2)
        (save_directory / "config.json").write_text(config + "\n", encoding="utf-8")

    @classmethod
    def _from_pretrained(cls, *, strict: bool = True, **kwargs: Any) -> "IPT":
        return super()._from_pretrained(strict=strict, **kwargs)  # the library's default would ignore missing weights

    def generate_model_card(self, **kwargs: Any) -> ModelCard:
        """The README of `save_pretrained(folder, model_card_kwargs={"provenance": FILE, "scores": FILE})`."""
        from ipt_models.model_card import model_card

        parameters = sum(parameter.numel() for parameter in self.parameters())
        weights = weights_file.sha256_of(self.state_dict())
        return ModelCard(model_card(self.tasks, self.config, parameters, weights, **kwargs))

    def push_to_hub(self, repo_id: str, **kwargs: Any) -> str:
        """Upload the files of `save_pretrained` to a repository on Hugging Face, which the model card names."""
        card = {"source": repo_id, **(kwargs.pop("model_card_kwargs", None) or {})}
        return super().push_to_hub(repo_id, model_card_kwargs=card, **kwargs)

    def compile_layers(self, **kwargs: object) -> None:
        """Compile each layer of encoder and decoder in place with `torch.compile`.

        Layers share one graph, so there is one compilation per input shape, and names of parameters do not change.

        Args:
            **kwargs: passed on to `torch.compile`.
        """
        for layer in (*self.encoder, *self.decoder):
            layer.compile(**kwargs)


def check_sizes(
    tasks: Sequence[str], num_feat: int, patch_dim: int, patch_size: int, num_heads: int, position: str
) -> None:
    """Check that the sizes, all whole numbers, fit together."""
    if isinstance(tasks, str) or not tasks or len(set(tasks)) != len(tasks):
        raise ValueError(f"tasks={tasks!r}: expected a sequence of different names, at least one")
    for task in tasks:
        parse_task(task)
    embed_dim = num_feat * patch_dim**2
    if patch_size % patch_dim:
        raise ValueError(f"patch_size={patch_size}: expected a multiple of patch_dim={patch_dim}")
    if embed_dim % num_heads:
        raise ValueError(f"num_heads={num_heads}: expected a divisor of num_feat * patch_dim**2 = {embed_dim}")
    if position == "sincos2d" and embed_dim % 4:
        raise ValueError(f"position='sincos2d': num_feat * patch_dim**2 = {embed_dim} must be a multiple of 4")


def _normal(*shape: int) -> Tensor:
    """Standard normal values. Nothing is drawn on the meta device, for which torch would import sympy, which takes a second."""
    values = torch.empty(*shape)
    return values if values.is_meta else values.normal_()
