import pytest
from click.testing import CliRunner

from vaebench.cli.app import main


@pytest.fixture
def vaebench(tmp_path, monkeypatch):
    """The command, in this process and a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments):
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return run
