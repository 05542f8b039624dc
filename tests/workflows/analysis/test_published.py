"""Published scores beside ours."""

import pytest

from workflows.analysis.means import summarise
from workflows.analysis.published import published


def test_published_numbers_are_matched_with_ours_of_the_same_kind(gathered):
    results, runs = gathered(fractions=(0.2, 1.0), datasets=("Set5", "photos"))
    found = published(results, summarise(results, runs), runs)
    assert set(found["dataset"]) == {"Set5"}
    row = found[(found["model"] == "edsr") & (found["method"] == "EDSR")].iloc[0]
    ours = results.query("model == 'edsr' and fraction == 1.0 and dataset == 'Set5'")["psnr_y"].mean()
    assert (row["published"], row["ours"]) == pytest.approx((38.11, ours))
    assert row["difference"] == pytest.approx(ours - 38.11)
    assert found.loc[found["method"] == "RCAN", "ours"].isna().all()
    assert found.loc[found["method"] == "IPT", "model"].unique().tolist() == ["ipt", "ipt-contrastive"]
    assert set(found.loc[found["method"] == "bicubic", "gray"]) == {"matlab"}
    assert found[["source", "channel", "gray"]].notna().all(axis=None)
