"""The legend below a picture, which no label may leave."""

import pytest
from matplotlib.figure import Figure

from vaebench.reproduction.curves import finished


@pytest.mark.parametrize("length", [1, 12, 22, 90])
def test_the_legend_is_as_wide_as_the_figure_where_its_names_allow(length):
    figure = Figure((4.2, 4.0), layout="constrained")
    axes = figure.subplots()
    for line in range(6):
        axes.plot([0, 1], [0, 1], label=f"{line}" + "x" * length)
    assert finished(figure).startswith(b"\x89PNG")
    (legend,) = figure.legends
    fits = legend.get_window_extent().width <= figure.bbox.width
    assert fits or legend._ncols == 1
    assert (legend._ncols == 4) == (length == 1)
