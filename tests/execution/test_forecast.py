from tests.cells import cell
from tests.report.make_run import result
from vaebench.execution.forecast import Forecast, forecast, foreseen, table
from vaebench.runs.effort import Wanted

AIS = {"ais_images": 64, "ais_budget": 6000}


def record(plugin="gaussian", **timings):
    found = result(plugin, 0) | {"cell": plugin, "timings": timings}
    found["metrics"]["log_likelihood_ais"]["depends"] = dict(AIS)
    return found


def test_time_grows_with_the_effort_that_is_asked_for():
    asked = [Wanted("log_likelihood_ais", AIS | {"ais_budget": 18_000}, group="ais")]
    known = record(ais=10.0)
    found = forecast(known, asked, ["log_likelihood_ais"], [known])
    assert found.seconds == 30 and found.untimed == ()


def test_cells_of_the_same_variant_say_how_long_it_takes():
    asked = [Wanted("probe", {}, group="probe"), Wanted("fid", {}, group="fid")]
    others = [record(probe=2.0), record(probe=4.0), record("iwae", probe=100.0)]
    found = forecast(record(), asked, ["probe", "fid"], others)
    assert (found.columns, found.seconds, found.untimed) == (("probe", "fid"), 3.0, ("fid",))
    assert found.phases == {"probe": 3.0}


def test_what_is_of_other_items_is_not_waited_for():
    asked = [
        Wanted("fid", {}, group="fid"),
        Wanted("regret", {}, group="regret", kinds=("tokens",)),
    ]
    found = foreseen(cell(), asked, [record(fid=9.0)])
    assert (found.columns, found.phases["fid"]) == (("fid",), 9.0)
    assert "regret" not in found.untimed


def test_nothing_takes_no_time():
    asked = [Wanted("fid", {}, group="fid")]
    assert forecast(record(), asked, [], [record(fid=9.0)]).seconds == 0


def test_small_phases_are_counted_together():
    phases = {"training": 600.0, "ais": 300.0, "fid": 0.9, "mse": 0.2, "pictures": 30.0}
    one = Forecast("a", (), phases, ("mine",))
    *lines, unknown = table([one, one], at_most={"ais"})
    found = {line[2:26].strip(): line[26:].strip() for line in lines}
    assert found == {
        "training": "0:20:00",
        "ais": "0:10:00 at most",
        "other metrics": "0:00:02",
        "pictures": "0:01:00",
        "all": "0:31:02 at most",
    }
    assert "mine" in unknown
