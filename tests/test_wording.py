from vaebench.wording import LONGEST, nearest, short


def test_a_reason_is_its_first_line_and_no_longer_than_fits():
    assert short("  one\ntwo") == "one"
    assert short("") == ""
    assert short("x" * LONGEST) == "x" * LONGEST
    cut = short("x" * (LONGEST + 1))
    assert len(cut) == LONGEST and cut.endswith("x…")


def test_the_nearest_begin_alike():
    cells = ["gaussian-digits-s0-12345678", "gmm-digits-s0-12345678", "vmf-mnist-s0-12345678"]
    assert nearest("gausian", cells) == cells[:1]
    assert nearest("vmf-mnits", cells) == cells[2:]
    assert nearest("poisson", cells) == []
    assert nearest("", cells) == []
    assert len(nearest("gaussian", [f"gaussian-{i}" for i in range(9)], 2)) == 2
