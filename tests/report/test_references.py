import pytest

from vaebench.report.page.references import linked


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("Kingma & Welling 2014, arXiv 1312.6114, app. C.2", "https://arxiv.org/abs/1312.6114"),
        ("Epanechnikov 1969, doi 10.1137/1114019; kernel", "https://doi.org/10.1137/1114019"),
        ("Higgins 2017, openreview Sy2fzU9gl", "https://openreview.net/forum?id=Sy2fzU9gl"),
    ],
)
def test_papers_become_links(text, address):
    found = linked(text)
    assert f'href="{address}"' in found
    assert found.striptags() == text


def test_strangers_texts_stay_texts():
    found = linked('<script>arXiv 1312.6114"><img src=x></script> doi 10.1/"onclick=alert(1)')
    assert "<script" not in found and "<img" not in found and '"onclick' not in found
    assert found.count("<a ") == 1
