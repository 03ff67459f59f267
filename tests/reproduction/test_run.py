import pandas as pd
import pytest

from vaebench.cli.app import main
from vaebench.errors import UserError
from vaebench.reproduction import run


def test_the_list_names_the_recipes_and_what_came_out(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results/reproductions/iwae-table1/short"
    folder.mkdir(parents=True)
    verdicts = ["reproduced", "not run: in the full budget only", "reproduced"]
    pd.DataFrame({"verdict": verdicts}).to_csv(folder / "table.csv")
    with pytest.raises(SystemExit) as stop:
        main(["reproduce", "--list"])
    said = capsys.readouterr().out
    assert stop.value.code == 0
    assert "svae-table1" in said and "not run" in said
    assert "2 reproduced, 1 not run" in " ".join(said.split())
    assert f"Results are those in {tmp_path}/results/reproductions." in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["iwae-tabel1"], "Did you mean 'iwae-table1'"),
        (["iwae-table1", "--budget", "shrt"], "Did you mean 'short'"),
        ([], "--list` shows them"),
        (["missing.yaml"], "The recipe missing.yaml cannot be read"),
        (["some/README.md"], "some/README.md is neither a recipe nor a YAML file"),
        (["README.md"], "README.md is neither a recipe nor a YAML file"),
    ],
)
def test_mistakes_are_answered_with_one_sentence(capsys, arguments, says):
    with pytest.raises(SystemExit) as stop:
        main(["reproduce", *arguments])
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert says in said and "Traceback" not in said


def test_a_page_needs_a_finished_cell(own, tmp_path):
    from vaebench.reproduction import recipe

    with pytest.raises(UserError, match="No cell of own has finished"):
        run.write(recipe.load(str(own)), "short", tmp_path, [])


@pytest.mark.slow
def test_a_recipe_of_ones_own_runs_and_is_not_run_twice(own, tmp_path, capsys):
    command = ["reproduce", str(own), "--budget", "short", "--out", str(tmp_path / "out")]
    for _ in range(2):
        with pytest.raises(SystemExit) as stop:
            main(command)
        assert stop.value.code == 0
    found = pd.read_csv(tmp_path / "out/table.csv")
    assert len(found) == 4 and found["measured"].notna().all()
    assert found["verdict"][0].startswith("not reproduced: another value")
    page = (tmp_path / "out/README.md").read_text()
    assert "| A, latent = 2: ELBO (nats) | -30.00 |" in page
    assert "8 cells on cpu" in page
    assert (tmp_path / "out/curves.png").stat().st_size > 10_000
