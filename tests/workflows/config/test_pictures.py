import re

from workflows.config.pictures import slugs

SHOWN = {"dataset": "photos", "image": "chelsea", "task": "sr2"}


def test_a_users_names_do_not_reach_paths():
    nasty = {"task": "sr2", "dataset": "my-set", "image": "it's a $(touch x) {y} [1] *?/../"}
    long, twice = {**nasty, "image": "x" * 300}, [{**SHOWN, "image": "chelsea!"}, {**SHOWN, "image": "chelsea?"}]
    named = slugs([nasty, SHOWN, *twice, long])
    assert len(named) == 5
    assert all(re.fullmatch(r"[A-Za-z0-9._@-]{1,200}", name) for name in named)
    assert named["sr2-photos-chelsea"] == SHOWN
