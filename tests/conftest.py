import pytest
import torch


@pytest.fixture(autouse=True)
def torch_globals_stay_as_they_are():
    """No test, and no code under test, changes a setting of torch for the whole process."""
    torch.set_num_threads(1)
    before = torch.get_default_dtype(), torch.distributions.Distribution._validate_args
    yield
    assert before == (torch.get_default_dtype(), torch.distributions.Distribution._validate_args)
