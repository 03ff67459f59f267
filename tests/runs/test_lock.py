import errno
import fcntl
import multiprocessing
import os
import signal
from dataclasses import replace

import pytest

from vaebench.config.settings import Settings
from vaebench.errors import UserError
from vaebench.runs import files
from vaebench.runs.lock import claim, claimed, held, running, stages


def hold(folder, ready):
    with held(folder):
        ready.send(True)
        signal.pause()


@pytest.fixture
def other(tmp_path):
    """A process that holds the run."""
    mine, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=hold, args=(tmp_path, theirs))
    process.start()
    assert mine.recv()
    yield process
    process.kill()
    process.join()


def test_a_second_driver_is_kept_out_until_the_first_is_gone(tmp_path, other):
    files.write_json(tmp_path / "running.json", {"cells": ["a"]})
    assert running(tmp_path) == {"a"}
    with pytest.raises(UserError, match="Another vaebench is working"), held(tmp_path):
        pass
    other.kill()
    other.join()
    assert running(tmp_path) == set()
    with held(tmp_path):
        pass


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_still_keeps_a_second_driver_out(tmp_path, monkeypatch, code):
    def refuse(file, operation):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with held(tmp_path):
        with pytest.raises(UserError, match="Another vaebench"), held(tmp_path):
            pass
    with held(tmp_path):
        claim(tmp_path, Settings())
    assert (tmp_path / "config.yaml").exists()


def test_how_far_cells_are_is_known_while_their_driver_lives(tmp_path, other):
    far = {"stage": "annealing\x1b", "done": 1, "total": 4, "began": 0.5}
    noted = {"a": far, "b": {"stage": 3}, "c": far | {"done": None}}
    files.write_json(tmp_path / "running.json", {"cells": ["a"], "stages": noted})
    assert stages(tmp_path) == {"a": far | {"stage": "annealing\ufffd"}}
    other.kill()
    other.join()
    assert stages(tmp_path) == {}


def test_a_folder_that_cannot_be_written_is_said_to_be(tmp_path, monkeypatch):
    def refuse(file, operation):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(UserError, match="cannot be written"), held(tmp_path):
        pass


def test_what_a_killed_write_left_is_swept(tmp_path):
    left = tmp_path / f".config.yaml.{'0' * 32}.part"
    left.touch()
    deeper = tmp_path / "cells" / "one" / f".result.json.{'0' * 32}.part"
    deeper.parent.mkdir(parents=True)
    deeper.touch()
    with held(tmp_path):
        assert not left.exists() and not deeper.exists()


def test_a_folder_that_a_write_was_killed_in_is_nobodys(tmp_path):
    (tmp_path / f".config.yaml.{'0' * 32}.part").touch()
    (tmp_path / ".lock").touch()
    claim(tmp_path, Settings())
    with pytest.raises(UserError, match="another experiment"):
        claim(tmp_path, Settings(epochs=(7,)))


def test_an_experiment_grows_along_its_axes_and_in_no_other_way(tmp_path):
    some = Settings(plugins=("gaussian",), seeds=(0, 1), latent=(2,))
    claim(tmp_path, some)
    more = replace(some, plugins=("iwae", "gaussian"), seeds=(0, 1, 2), latent=(2, 8))
    claim(tmp_path, more)
    for less in (some, replace(more, seeds=(1, 2, 3)), replace(more, decoder_of="run/cells/x")):
        with pytest.raises(UserError, match="ask for all that it holds and more"):
            claimed(tmp_path, less)
    assert claimed(tmp_path, more) == more


def test_a_pipe_for_a_configuration_hangs_nobody(tmp_path):
    os.mkfifo(tmp_path / "config.yaml")
    os.mkfifo(tmp_path / "running.json")
    with held(tmp_path), pytest.raises(UserError, match="another experiment"):
        claim(tmp_path, Settings())
    assert running(tmp_path) == set()
