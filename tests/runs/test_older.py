"""Records of earlier versions say nothing of how a metric is shown, and are shown as they were."""

from pathlib import Path

from tests.finished import train
from vaebench.evaluation.metrics import conditional, conditions, language, parts, regret, sets
from vaebench.evaluation.metrics.select import METRICS
from vaebench.report.sheet import sheets
from vaebench.report.tables.text import markdown
from vaebench.runs import files
from vaebench.runs.older import upgraded
from vaebench.runs.run import Run

DECLARED = ("metric", "extractor", "k", "head", "place", "keep", "error", "role", "reference")
EXAMPLE = Path(__file__).parents[2] / "results" / "example"


def test_the_metrics_of_an_older_record_are_declared_as_now():
    since = (conditional, conditions, language, parts, regret, sets)
    later = [metric for module in since for metric in module.METRICS]
    known = [metric for metric in METRICS if metric not in later]
    columns = [metric.column("digits", 256) for metric in known]
    found = upgraded({column: {"value": 1.0} for column in columns})
    for metric in known:
        one = found[metric.column("digits", 256)]
        assert one["metric"] == metric.name
        assert one["extractor"] == ("digits" if metric.takes("extractor") else "")
        assert one["k"] == (256 if metric.takes("k") else None)
        for key in ("head", "place", "keep", "error", "role"):
            assert (one.get(key) or None) == (getattr(metric, key) or None), (metric.name, key)
        if metric.name != "sharpness_rec":
            assert one["reference"] == metric.reference.format(extractor="digits"), metric.name


def test_what_a_record_declares_itself_stays():
    mine = {"metric": "elbo", "head": "mine"}
    assert upgraded({"elbo": mine, "kl": {}})["elbo"] == mine


def test_extractors_are_known_by_what_metrics_depend_on():
    found = upgraded({"rec_kid_my_net": {"depends": {"features": "my_net@1234"}}, "copies_my": {}})
    assert found["rec_kid_my_net"]["metric"] == "rec_kid_{extractor}"
    assert found["copies_my"]["extractor"] == ""


def test_a_run_is_shown_the_same_without_the_declarations(tmp_path):
    for plugin in ("gaussian", "autoencoder"):
        train(tmp_path, plugin=plugin)
    now = markdown(sheets(Run(tmp_path)))
    for path in tmp_path.glob("cells/*/result.json"):
        record = files.read_json(path)
        for metric in record["metrics"].values():
            for key in DECLARED:
                del metric[key]
        del record["checksum"]
        files.write_json(path, record)
    assert markdown(sheets(Run(tmp_path))) == now
    assert "ELBO" in now and "MSE" in now


def test_the_example_has_its_main_table():
    (sheet,) = sheets(Run(EXAMPLE))
    heads = [column.head for column in sheet.columns if column.key]
    assert heads == [
        *("log p(x), AIS", "ELBO", "KL", "active", "FID (digits)", "rec. FID (digits)"),
        *("sharpness", "MSE", "training"),
    ]
    assert not any(column.name.endswith("_real") for column in sheet.columns)
    (block,) = sheet.blocks
    assert set(block.references) >= {"fid_digits", "rec_fid_digits", "sharpness", "kid_digits"}
