"""IPT from torch.nn.MultiheadAttention: the slow, obvious network against which ours is tested and timed.

Sequence first and with attention weights, the defaults of `nn.MultiheadAttention`, and with the names of the authors'
checkpoints, so that their state dicts load unchanged.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ipt_models import IPT, to_official


class ResBlock(nn.Module):
    def __init__(self, num_feat: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(num_feat, num_feat, 5, padding=2), nn.ReLU(), nn.Conv2d(num_feat, num_feat, 5, padding=2)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def add(x: Tensor, embedding: Tensor | None) -> Tensor:
    return x if embedding is None else x + embedding


class EncoderLayer(nn.Module):
    def __init__(self, embed_dim: int, num_heads: int, norm: bool):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(embed_dim, num_heads, bias=False)
        self.linear1 = nn.Linear(embed_dim, 4 * embed_dim)
        self.linear2 = nn.Linear(4 * embed_dim, embed_dim)
        self.norm1 = nn.LayerNorm(embed_dim) if norm else nn.Identity()
        self.norm2 = nn.LayerNorm(embed_dim) if norm else nn.Identity()

    def forward(self, x: Tensor, pos: Tensor | None) -> Tensor:
        y = self.norm1(x)
        query = key = add(y, pos)
        x = x + self.self_attn(query, key, y)[0]
        return x + self.linear2(F.relu(self.linear1(self.norm2(x))))


class DecoderLayer(nn.Module):
    def __init__(self, embed_dim: int, num_heads: int, norm: bool):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(embed_dim, num_heads, bias=False)
        self.multihead_attn = nn.MultiheadAttention(embed_dim, num_heads, bias=False)
        self.linear1 = nn.Linear(embed_dim, 4 * embed_dim)
        self.linear2 = nn.Linear(4 * embed_dim, embed_dim)
        self.norm1 = nn.LayerNorm(embed_dim) if norm else nn.Identity()
        self.norm2 = nn.LayerNorm(embed_dim) if norm else nn.Identity()
        self.norm3 = nn.LayerNorm(embed_dim) if norm else nn.Identity()

    def forward(self, x: Tensor, memory: Tensor, task_embed: Tensor | None, pos: Tensor | None) -> Tensor:
        y = self.norm1(x)
        query = key = add(y, task_embed)
        x = x + self.self_attn(query, key, y)[0]
        x = x + self.multihead_attn(add(self.norm2(x), task_embed), add(memory, pos), memory)[0]
        return x + self.linear2(F.relu(self.linear1(self.norm3(x))))


class PositionEncoding(nn.Module):
    def __init__(self, tokens: int, embed_dim: int):
        super().__init__()
        self.register_buffer("position_ids", torch.arange(tokens).unsqueeze(0))
        self.pe = nn.Embedding(tokens, embed_dim)


class Layers(nn.Module):
    def __init__(self, layers: list[nn.Module]):
        super().__init__()
        self.layers = nn.ModuleList(layers)


class Body(nn.Module):
    def __init__(
        self,
        num_feat: int,
        patch_dim: int,
        patch_size: int,
        num_heads: int,
        depth: int,
        num_tasks: int,
        position: str,
        norm: bool,
        mlp: bool,
    ):
        super().__init__()
        dim, tokens = num_feat * patch_dim**2, (patch_size // patch_dim) ** 2
        self.patch_dim, self.every_layer = patch_dim, position == "learned_every_layer"
        if mlp:
            self.linear_encoding = nn.Linear(dim, dim)
            self.mlp_head = nn.Sequential(
                nn.Linear(dim, 4 * dim), nn.Dropout(0), nn.ReLU(), nn.Linear(4 * dim, dim), nn.Dropout(0)
            )
            self.query_embed = nn.Embedding(num_tasks, tokens * dim)
        self.encoder = Layers([EncoderLayer(dim, num_heads, norm) for _ in range(depth)])
        self.decoder = Layers([DecoderLayer(dim, num_heads, norm) for _ in range(depth)])
        if position != "none":
            self.position_encoding = PositionEncoding(tokens, dim)

    def forward(self, image: Tensor, task: int) -> tuple[Tensor, Tensor]:
        x = F.unfold(image, self.patch_dim, stride=self.patch_dim).permute(2, 0, 1)  # (N, B, D)
        pos = task_embed = None
        if hasattr(self, "linear_encoding"):
            x = x + self.linear_encoding(x)
            task_embed = self.query_embed.weight[task].view(x.shape[0], 1, x.shape[2])
        if hasattr(self, "position_encoding"):
            pos = self.position_encoding.pe.weight.unsqueeze(1)
            if not self.every_layer:
                x, pos = x + pos, None
        for layer in self.encoder.layers:
            x = layer(x, pos)
        memory = x
        for layer in self.decoder.layers:
            x = layer(x, memory, task_embed, pos)
        if hasattr(self, "mlp_head"):
            x = x + self.mlp_head(x)
        return F.fold(x.permute(1, 2, 0), image.shape[2:], self.patch_dim, stride=self.patch_dim), x.transpose(0, 1)


class ReferenceIPT(nn.Module):
    """Called with RGB on the 0-255 scale, (B, 3, H, W), and a task's index; returns the restoration and the features."""

    def __init__(
        self,
        scales: list[int],
        num_feat: int = 64,
        patch_dim: int = 3,
        patch_size: int = 48,
        num_heads: int = 12,
        depth: int = 12,
        position: str = "learned",
        norm: bool = True,
        mlp: bool = True,
    ):
        super().__init__()
        c = num_feat
        self.sub_mean = nn.Conv2d(3, 3, 1).requires_grad_(False)
        self.add_mean = nn.Conv2d(3, 3, 1).requires_grad_(False)
        self.head = nn.ModuleList(
            nn.Sequential(nn.Conv2d(3, c, 3, padding=1), ResBlock(c), ResBlock(c)) for _ in scales
        )
        self.body = Body(c, patch_dim, patch_size, num_heads, depth, len(scales), position, norm, mlp)
        self.tail = nn.ModuleList()
        for scale in scales:
            upsample = nn.Sequential()
            for factor in {1: [], 2: [2], 3: [3], 4: [2, 2]}[scale]:
                upsample.append(nn.Conv2d(c, c * factor**2, 3, padding=1))
                upsample.append(nn.PixelShuffle(factor))
            self.tail.append(nn.Sequential(upsample, nn.Conv2d(c, 3, 3, padding=1)))

    def forward(self, x: Tensor, task: int) -> tuple[Tensor, Tensor]:
        x = self.head[task](self.sub_mean(x))
        y, features = self.body(x, task)
        return self.add_mean(self.tail[task](x + y)), features


class AuthorsForm(nn.Module):
    """An IPT for x2 as a `ReferenceIPT`, with the weights of ours and with our call."""

    def __init__(self, ours: IPT):
        super().__init__()
        self.patch_size = ours.patch_size
        self.reference = ReferenceIPT([2], **ours.config)
        self.reference.load_state_dict(to_official(ours))

    def forward(self, x: Tensor, task: str = "sr2") -> Tensor:
        return self.reference(255 * x, 0)[0] / 255
