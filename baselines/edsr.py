"""EDSR (Lim et al., CVPR Workshops 2017): basicsr's network with this package's interface."""

import baselines.basicsr_alias  # noqa: F401

# isort: split
from basicsr.archs.edsr_arch import EDSR as BasicsrEDSR
from torch import Tensor

from baselines.single_task import SingleTask
from ipt_models.arguments import check_positive, check_whole
from ipt_models.tasks import parse_task


class EDSR(SingleTask, BasicsrEDSR):
    """EDSR with basicsr's parameter names, so that basicsr's checkpoints load.

    Args:
        task: any task. With scale 1 (denoising, deraining) there is no upsampler: the last convolution follows the body
            directly. The paper has no such form; nothing else differs.
        num_feat: features of each convolution.
        num_block: residual blocks.
        res_scale: factor of each block's residual; the paper uses 0.1 at 256 features.
    """

    def __init__(self, task: str, num_feat: int = 64, num_block: int = 16, res_scale: float = 1.0) -> None:
        check_whole(num_feat=num_feat, num_block=num_block)
        check_positive(res_scale=res_scale)
        # basicsr takes images in [0, 1], subtracts DIV2K's mean and works on the authors' 0-255 scale (img_range)
        super().__init__(
            num_in_ch=3,
            num_out_ch=3,
            num_feat=num_feat,
            num_block=num_block,
            upscale=parse_task(task).scale,
            res_scale=res_scale,
            img_range=255.0,
        )
        self.set_task(task)
        # in input pixels: first, two per block, after the body, the upsampler, and the last, which spans at most 1
        self.receptive_field = 2 * (2 * num_block + (4 if self.scale > 1 else 3)) + 1

    def forward(self, x: Tensor, task: str | None = None) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, 3, s*H, s*W), not clipped."""
        self.check_task(task)
        return super().forward(x)
