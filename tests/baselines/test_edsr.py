"""EDSR is basicsr's, and stays comparable with it."""

import torch

import baselines


def test_output_equals_basicsrs_edsr_with_the_same_weights():
    import baselines.basicsr_alias

    # isort: split
    from basicsr.archs.edsr_arch import EDSR as BasicsrEDSR

    torch.manual_seed(0)
    theirs = BasicsrEDSR(3, 3, num_feat=16, num_block=3, upscale=4, res_scale=0.1, img_range=255.0)
    ours = baselines.build("edsr", "sr4", num_feat=16, num_block=3)
    ours.load_state_dict(theirs.state_dict())
    x = torch.rand(1, 3, 10, 11)
    assert torch.equal(ours(x, "sr4"), theirs(x))


def test_without_an_upsampler_the_last_convolution_follows_the_body():
    model = baselines.build("edsr_tiny", "dn30")
    assert len(model.upsample) == 0
