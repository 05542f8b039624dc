import pytest
import torch

from workflows.peak_rates import PEAKS, peak_flops, peak_of


@pytest.mark.parametrize(
    ("card", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA H100 NVL", "H100 NVL"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA H200 NVL", "H200 NVL"),
        ("NVIDIA GH200 480GB", "GH200"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
    ],
)
def test_a_card_is_known_by_the_name_that_cuda_gives(card, name):
    assert peak_flops(card, "bf16") == 1e12 * PEAKS[name].bf16
    assert peak_flops(card, "float32") == 1e12 * PEAKS[name].float32


@pytest.mark.parametrize(
    "card",
    [
        *("NVIDIA A100-SXM4-80GB MIG 1g.10gb", "NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA GeForce RTX 4090 D"),
        *("NVIDIA GeForce RTX 3090 Ti", "NVIDIA A10G", "NVIDIA H20", "NVIDIA H800", "NVIDIA L40", ""),
    ],
)
def test_another_card_is_not_taken_for_a_listed_one(card):
    assert peak_flops(card, "bf16") is None


def test_rates_fall_from_bf16_to_float32_and_have_a_source():
    for peak in PEAKS.values():
        assert peak.bf16 > peak.tf32 >= peak.float32 or peak.source.startswith("NVIDIA L40S")
        assert peak.source


@pytest.mark.parametrize(
    ("precision", "matmul_precision", "peak"),
    [
        ("bf16-mixed", "highest", 989e12),
        ("32-true", "highest", 67e12),
        ("32-true", "high", 494e12),
        ("64-true", "highest", None),
    ],
)
def test_the_arithmetic_follows_the_recipe(precision, matmul_precision, peak, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    assert peak_of(torch.device("cuda"), precision, matmul_precision) == peak
    assert peak_of(torch.device("cpu"), precision, matmul_precision) is None
