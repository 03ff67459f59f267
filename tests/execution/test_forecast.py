from tests.report.make_run import result
from vaebench.execution.forecast import forecast
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


def test_nothing_takes_no_time():
    asked = [Wanted("fid", {}, group="fid")]
    assert forecast(record(), asked, [], [record(fid=9.0)]).seconds == 0
