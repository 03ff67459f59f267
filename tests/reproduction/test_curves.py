"""The legend below a picture, which no label may leave."""

import pytest
from matplotlib.figure import Figure

from vaebench.reproduction.curves import finished


@pytest.mark.parametrize(
    ("names", "columns"), [("abcdef", 4), (["a name of some length"] * 5, 2), (["x" * 90], 1)]
)
def test_the_legend_is_as_wide_as_the_figure_at_most(names, columns):
    figure = Figure((4.2, 4.0), layout="constrained")
    axes = figure.subplots()
    for name in names:
        axes.plot([0, 1], [0, 1], label=name)
    assert finished(figure).startswith(b"\x89PNG")
    (legend,) = figure.legends
    width = legend.get_window_extent().width
    assert legend._ncols == columns
    assert width <= figure.bbox.width or columns == 1
