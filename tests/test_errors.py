from vaebench.errors import unknown


def test_an_unknown_name_gets_the_closest_one_and_the_others():
    assert str(unknown("critic", "patch", ["none", "patchgan"])) == (
        "No critic 'patch'. Did you mean 'patchgan'? Available: none, patchgan."
    )
    assert str(unknown("critic", "x", [])) == "No critic 'x'. Available: none."


def test_a_long_list_does_not_hide_the_name_that_was_meant():
    names = [f"metric{i}" for i in range(40)] + ["elbo"]
    assert str(unknown("metric", "elb", names)) == (
        "No metric 'elb'. Did you mean 'elbo'? There are 41 to choose from."
    )
    assert "metric39" in str(unknown("metric", "quite another", names))
