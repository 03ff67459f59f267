"""Blocks of a table stand in the order of their settings."""

from tests.report.make_run import result, write_cell
from tests.report.written import sheets_of


def test_blocks_are_in_the_order_of_their_numbers(tmp_path):
    for latent, critic in ((32, "patchgan"), (8, "patchgan"), (128, "none"), (8, "none")):
        for name in ("gaussian", "iwae"):
            write_cell(tmp_path, result(name, 0, latent=latent, critic=critic))
    (sheet,) = sheets_of(tmp_path)
    found = [(block.settings["critic"], block.settings["latent"]) for block in sheet.blocks]
    assert found == [("none", 8), ("none", 128), ("patchgan", 8), ("patchgan", 32)]


def test_what_a_mean_of_sets_is_over_is_told(tmp_path):
    found = result("gaussian", 0)
    found["metrics"]["elbo"]["unit"] = "nats/set"
    write_cell(tmp_path, found)
    (block,) = sheets_of(tmp_path)[0].blocks
    assert block.images["elbo"].endswith("400 sets")
