"""Cells on several Ray nodes of one machine, one of which is killed in mid-run."""

import time
from pathlib import Path

import pytest

from tests.cells import task
from vaebench.config.resources import Place
from vaebench.errors import UserError
from vaebench.execution.engines.ray import Ray
from vaebench.runs import files

pytestmark = pytest.mark.slow
ray = pytest.importorskip("ray")


def test_results_travel_back_though_a_node_dies(tmp_path):
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        lost = cluster.add_node(num_cpus=1)
        tasks = [task(metrics=("mse",)), task(plugin="nobody", metrics=("mse",))]
        tasks += [task(seed=seed, metrics=("elbo", "mse"), epochs=300) for seed in (1, 2)]
        folders = [tmp_path / "cells" / one.cell.id for one in tasks]
        events = []
        for event in Ray(cluster.address).run(tasks, Place(Path("nowhere"), "auto"), folders):
            events.append(event)
            if len(events) == 2:  # both nodes are at work on the two long ones
                time.sleep(3)
                cluster.remove_node(lost, allow_graceful=False)
    finally:
        cluster.shutdown()
    assert sorted(event.task for event in events) == [0, 1, 2, 3]
    records = [files.read_json(folder / "result.json") for folder in folders]
    assert [record["status"] for record in records] == ["done", "failed", "done", "done"]
    assert "No variant 'nobody'" in records[1]["reason"]
    for i in (0, 2, 3):
        assert files.flaw(folders[i]) is None
        assert (folders[i] / "model.safetensors").stat().st_size > 0


def test_no_cluster_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match="leads to no Ray cluster"):
        list(Ray("127.0.0.1:1").run([task()], Place(tmp_path), [tmp_path / "a"]))
