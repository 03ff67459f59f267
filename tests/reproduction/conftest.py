import pytest

OWN = """
title: Own
paper: None
setup: small
x: latent
settings: {dataset: digits, backbone: mlp, critic: none, metrics: [elbo, kl]}
lines:
  A:
    plugins: gaussian
    points: {2: {latent: 2}, 3: {latent: 3}}
  B:
    against: {line: A}
    points: {2: {plugins: iwae, latent: 2}, 3: {plugins: iwae, latent: 3}}
measures:
  ELBO: {column: elbo, unit: nats}
budgets:
  short: {says: two epochs, settings: {epochs: 2, seeds: [0, 1]}}
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(OWN)
    (tmp_path / "published.csv").write_text(
        "recipe,line,x,measure,value,std,source\nown,A,2,ELBO,-30,,a paper\n"
    )
    return path
