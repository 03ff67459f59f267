"""What earlier versions left out of their records, put in when these are read."""

import re
from typing import Any

#: What the metrics of the main table, and those that plots take apart, declared elsewhere.
_DECLARED: dict[str, dict[str, Any]] = {
    "log_likelihood_ais": {
        "head": "log p(x), AIS",
        "place": 10,
        "keep": 9,
        "error": True,
        "role": "likelihood",
    },
    "elbo": {"head": "ELBO", "place": 20, "keep": 8, "error": True, "role": "elbo"},
    "kl": {"head": "KL", "place": 30, "keep": 2, "role": "rate"},
    "active_units": {"head": "active", "place": 40, "keep": 1},
    "fid_{extractor}": {"head": "FID", "place": 50, "keep": 7, "error": True, "role": "samples"},
    "rec_fid_{extractor}": {"head": "rec. FID", "place": 60, "keep": 4, "error": True},
    "sharpness": {"head": "sharpness", "place": 70, "keep": 5},
    "mse": {"head": "MSE", "place": 80, "keep": 6},
    "iwae_{k}": {"role": "bound"},
    "distortion": {"role": "distortion"},
}


def upgraded(metrics: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The metrics of a cell by column, those without a declaration with the one they had then."""
    if all("metric" in metric for metric in metrics.values()):
        return metrics
    extractors = _extractors(metrics)
    return {
        column: metric if "metric" in metric else _upgraded(column, metric, metrics, extractors)
        for column, metric in metrics.items()
    }


def _upgraded(
    column: str, metric: dict[str, Any], metrics: dict[str, dict[str, Any]], extractors: list[str]
) -> dict[str, Any]:
    extractor = next((each for each in extractors if f"_{each}_" in f"{column}_"), "")
    name = f"{column}_".replace(f"_{extractor}_", "_{extractor}_", 1)[:-1] if extractor else column
    bound = re.fullmatch(r"iwae_(\d+)", column)
    real = f"{column.removeprefix('rec_')}_real"
    name = "iwae_{k}" if bound else name
    known = {
        "metric": name,
        "extractor": extractor,
        "k": int(bound[1]) if bound else None,
        "reference": real if real in metrics else "",
    }
    return {**metric, **known, **_DECLARED.get(name, {})}


def _extractors(metrics: dict[str, dict[str, Any]]) -> list[str]:
    """The feature extractors that columns are named by, the longest name first."""
    names = [column.removeprefix("rec_") for column in metrics]
    found = {name.split("_")[1] for name in names if name.startswith("fid_")}
    for metric in metrics.values():
        depends = metric.get("depends")
        features = depends.get("features") if isinstance(depends, dict) else None
        found.add(str(features or "").partition("@")[0])
    return sorted(found - {""}, key=lambda each: (-len(each), each))
