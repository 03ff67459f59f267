import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def features_are_kept_apart(tmp_path_factory):
    """No test reads what an earlier version left on this machine, or leaves anything there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAEBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def torch_globals_stay_as_they_are():
    """No test, and no code under test, changes a setting of torch for the whole process."""
    torch.set_num_threads(1)
    before = torch.get_default_dtype(), torch.distributions.Distribution._validate_args
    yield
    assert before == (torch.get_default_dtype(), torch.distributions.Distribution._validate_args)
