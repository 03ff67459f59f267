"""`vaebench tune` as it is typed."""

import json

import pytest

from vaebench.execution import tune
from vaebench.runs import tuning

SMALL = (
    *("--dataset", "digits", "--backbone", "mlp", "--width", "16", "--latent", "3"),
    *("--critic", "none", "--epochs", "3", "--batch-size", "128", "--metrics", "elbo"),
    *("--iw-samples", "16", "--iw-images", "100", "--jobs", "1"),
)


def test_mistakes_are_found_before_anything_is_read(vaebench, monkeypatch):
    assert "--trials must be 2" in vaebench("tune", "gaussian", "--trials", "1").output
    assert "Did you mean 'iwae'" in vaebench("tune", "gaussian", "--criterion", "iwa").output
    monkeypatch.setattr(tune, "find_spec", lambda name: None)
    done = vaebench("tune", "gaussian")
    assert done.exit_code == 2 and "pip install 'vaebench[tune]'" in done.output


@pytest.mark.slow
def test_several_values_of_a_setting_are_refused(vaebench):
    done = vaebench("tune", "gaussian", "--lr", "1e-3,2e-3", *SMALL)
    assert done.exit_code == 2 and "takes one value of --lr, and this run has 2" in done.output


@pytest.mark.slow
def test_a_run_is_tuned_from_search_to_page(vaebench, tmp_path):
    """A learning rate that is absurdly small loses, a KL that is weighted too much too."""
    command = (
        *("tune", "gaussian", "beta-vae", "autoencoder", "--seeds", "0,1", *SMALL),
        *("--space", "lr=1e-6|1e-3|8e-3", "--lr", "1e-6", "--space", "kl_warmup=off"),
        *("--space", "beta-vae[beta=1|4|64]", "--trials", "6", "--out", "run"),
    )
    shown = vaebench(*command, "--dry-run")
    assert shown.exit_code == 0 and "6 trials of each of 2 variants" in shown.output
    assert not (tmp_path / "run").exists()
    done = vaebench(*command)
    assert done.exit_code == 0, done.output
    found = tuning.read(tmp_path / "run")
    for name, search in found["variants"].items():
        assert len(search["trials"]) == 6
        assert tune.best(found, name)["lr"] == 8e-3, search
    assert tune.best(found, "beta-vae")["[beta]"] in (1.0, 4.0)
    page = (tmp_path / "run" / "report.html").read_text()
    assert "What tuning was worth" in page and "autoencoder was not tuned" in page
    kinds = [each["settings"] for each in found["cells"].values()]
    assert sorted(kinds) == ["default"] * 6 + ["tuned"] * 4
    again = vaebench(*command)
    assert again.exit_code == 0 and "All 10 cells are finished" in again.output
    assert tuning.read(tmp_path / "run") == found
    listed = json.loads(vaebench("list", "--json").output)
    beta = next(v for p in listed["plugins"] for v in p["variants"] if v["name"] == "beta-vae")
    assert beta["search"] == {"beta": "0.5..16 (log)"}
