"""What earlier versions left out of their records, put in when these are read."""

import re
from collections.abc import Mapping
from typing import Any

from vaebench.config.cell import MEASURED

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

#: The mathematics that metrics declared once there was a place for it.
_SYMBOLS = {
    "log_likelihood_ais": r"\log p(x)",
    "elbo": r"\mathrm{ELBO}",
    "kl": r"\mathrm{KL}",
    "iwae_{k}": r"\mathcal{L}_{k}",
    "distortion": r"-\mathrm{E}_q[\log p(x|z)]",
    "mutual_information": r"I_q(x; z)",
    "marginal_kl": r"\mathrm{KL}(q(z)\,\|\,p(z))",
    "marginal_kl_dimensions": r"\sum_d \mathrm{KL}(q(z_d)\,\|\,p(z_d))",
    "fid_{extractor}_infinity": r"\mathrm{FID}_\infty",
}

#: The effort that the names of metrics depend on, which once stood among the settings of a cell,
#: with what it was before it was a setting.
_AIS = {"ais_images": 64, "ais_target": None, "ais_budget": 6000}
_EFFORT: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("log_likelihood_ais", "bdmc_gap", "inference_gap", "approximation_gap"), _AIS),
    "amortisation_gap": {"ais_images": 64},
    "iwae_{k}": {"iw_images": 400},
}


def separated(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of a training, and of the evaluation, which once stood among them."""
    evaluation = {key: value for key, value in config.items() if key in MEASURED}
    return {key: value for key, value in config.items() if key not in MEASURED}, evaluation


def renewed(record: dict[str, Any]) -> dict[str, Any]:
    """The content of a ``result.json`` of any version, in the form that this one writes."""
    config, evaluation = separated(record["config"])
    metrics = efforts(upgraded(record.get("metrics") or {}), evaluation)
    evaluation = record.get("evaluation") or evaluation
    return {**record, "config": config, "evaluation": evaluation, "metrics": metrics}


def efforts(
    metrics: Mapping[str, dict[str, Any]], evaluation: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """The metrics of a cell with the effort of its evaluation among what they depend on."""
    found = {}
    for column, metric in metrics.items():
        depends = metric.get("depends")
        spent = {
            name: value
            for name, absent in _EFFORT.get(str(metric.get("metric")), {}).items()
            if (value := evaluation.get(name, absent)) is not None
        }
        known = depends if isinstance(depends, dict) else {}
        found[column] = {**metric, "depends": known | (spent | known)} if spent else metric
    return found


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


def symbol(metric: Mapping[str, Any]) -> str:
    """The mathematics at the head of a metric's column; empty where it has none."""
    declared = metric.get("symbol")
    if declared is None:
        k = metric.get("k") or ""
        declared = _SYMBOLS.get(str(metric.get("metric")), "").replace("{k}", f"{{{k}}}")
    return str(declared)


def _extractors(metrics: dict[str, dict[str, Any]]) -> list[str]:
    """The feature extractors that columns are named by, the longest name first."""
    names = [column.removeprefix("rec_") for column in metrics]
    found = {name.split("_")[1] for name in names if name.startswith("fid_")}
    for metric in metrics.values():
        depends = metric.get("depends")
        features = depends.get("features") if isinstance(depends, dict) else None
        found.add(str(features or "").partition("@")[0])
    return sorted(found - {""}, key=lambda each: (-len(each), each))
