"""A class and a style as latents: few labels teach the class, all images the rest."""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, OneHotCategorical
from torch.nn.functional import linear, one_hot

from vaebench import Chain, Draw, Gaussian, Posterior, Seen, Variant, hookimpl

#: The logarithm of the probability of classes that a known label excludes: exactly 0 as a weight,
#: and a number where it is multiplied by 0.
_EXCLUDED = -1e4


class Level(nn.Module):
    """A diagonal Gaussian of `size` dimensions, given vectors of the sizes `given` together."""

    def __init__(self, size: int, given: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.given = given
        self.hidden = nn.Linear(sum(given), width)
        self.head = Gaussian(size, width)

    def forward(self, *given: Tensor) -> Distribution:
        """Vectors (..., G), whose leading axes are broadcast, to N(loc, diag scale²)."""
        # What many classes share is multiplied once.
        weights = self.hidden.weight.split(self.given, 1)
        each = [linear(*pair) for pair in zip(given, weights, strict=True)]
        return self.head(torch.tanh(sum(each, self.hidden.bias)))


class Class(OneHotCategorical):
    """A class as a one-hot vector (..., C), whose draws have no gradient."""

    def rsample(self, sample_shape: list[int] | tuple[int, ...] = ()) -> Tensor:
        """A one-hot vector for each."""
        return self.sample(torch.Size(sample_shape))


class Strata(Chain):
    """q(y) q(rest | y), which a training step draws class by class.

    Args:
        laws: The chain; its first block is the class.
        logits: Of the classifier, (B, C).
        labels: Classes (B,) that are known, -1 elsewhere.
    """

    def __init__(self, laws: Any, logits: Tensor, labels: Tensor | None = None) -> None:
        super().__init__(laws, logits.shape[:-1])
        self.logits, self.labels = logits, labels

    def rstratified(self, samples: int) -> tuple[Tensor, Tensor]:
        """Draws (samples C, B, D) with every class in turn, and their log-weights log q(y|x).

        Where the class is known all draws have it, and the same weight. The weights of an item sum
        to one and carry the gradient to the classifier.
        """
        count = self.logits.shape[-1]
        y = torch.eye(count, dtype=self.logits.dtype, device=self.logits.device)
        y = y[:, None].expand(-1, *self.logits.shape)
        log_weights = self.logits.log_softmax(-1).T
        if self.labels is not None:
            known = self.labels >= 0
            y = torch.where(known[:, None], one_hot(self.labels.clamp_min(0), count).to(y), y)
            log_weights = torch.where(known, -math.log(count), log_weights)
        y = y.repeat(samples, 1, 1)
        z = self._built(y.shape[:-1], lambda at, law: law.rsample() if at else y)
        return z, log_weights.repeat(samples, 1) - math.log(samples)


class M2(Posterior):
    r"""q(y|x) q(z'|x, y) against a uniform class and N(0, I); z = (y as a one-hot vector, z').

    The ELBO sums over the classes: it is -U(x) = Σ_y q(y|x) (-L(x, y)) + H(q(y|x)) (eq. 7), and
    -L(x, y) (eq. 6) for an image whose label training sees.

    Args:
        features: D, the number of latent dimensions, C of them the class's.
        context: F, the number of encoder features.
        width: Hidden units of the networks of q(y|x) and q(z'|x, y).
        classes: C.

    Raises:
        ValueError: There are fewer than two classes, or no dimension beside them.
    """

    def __init__(self, features: int, context: int, width: int = 256, *, classes: int) -> None:
        if classes < 2:
            raise ValueError(
                "No label can be seen, and a class is what this variant infers: choose a data set "
                "that shows some, as in --dataset 'mnist[labels=100]'."
            )
        if features <= classes or width < 1:
            raise ValueError(
                f"The class takes {classes} of D = {features} dimensions, and one or more must be "
                f"left: choose --latent {classes + 1} or more, and a width of 1 or more."
            )
        super().__init__(features, context)
        self.classes = classes
        self.classifier = nn.Sequential(
            nn.Linear(context, width), nn.Tanh(), nn.Linear(width, classes)
        )
        self._build(width)

    def _build(self, width: int) -> None:
        """The networks of what is beside the class."""
        self.style = Level(self.features - self.classes, (self.context, self.classes), width)

    def _inferred(self, h: Tensor) -> dict[str, tuple[int, Any]]:
        """The laws of q beside the class."""
        return {"style": (self.features - self.classes, partial(self.style, h))}

    def _generated(self) -> dict[str, tuple[int, Any]]:
        """The laws of p beside the class."""
        return {"style": self._normal(self.features - self.classes)}

    def _normal(self, size: int) -> tuple[int, Any]:
        zeros: Any = self._zeros[:size]  # type: ignore[index]
        law = Independent(Normal(zeros, torch.ones_like(zeros), validate_args=False), 1)
        return size, lambda *before: law

    def _chain(self, h: Tensor, labels: Tensor | None = None) -> Strata:
        logits = seen = self.classifier(h)
        if labels is not None:
            known = (1 - one_hot(labels.clamp_min(0), self.classes)) * _EXCLUDED
            seen = torch.where((labels >= 0)[:, None], known.to(logits), logits)
        law = Class(logits=seen, validate_args=False)
        return Strata({"class": (self.classes, lambda: law), **self._inferred(h)}, logits, labels)

    def forward(self, h: Tensor) -> Distribution:
        """Features h (B, F) to q, whose class is not known."""
        return self._chain(h)

    def prior(self) -> Distribution:
        """A uniform class, and what is beside it."""
        even: Any = self._zeros[: self.classes]  # type: ignore[index]
        law = Class(logits=even, validate_args=False)
        return Chain({"class": (self.classes, lambda: law), **self._generated()})

    def pair(self, h: Tensor, seen: Seen) -> tuple[Distribution, Distribution]:
        """q, with the class of images whose label training sees, and p."""
        return self._chain(h, seen.labels), self.prior()

    def classify(self, h: Tensor) -> Tensor:
        """log q(y|x) (B, C) of features h (B, F)."""
        return self.classifier(h).log_softmax(-1)


class M1M2(M2):
    r"""M2 with a code above the pixels: q(y|x) q(z₂|x, y) q(z₁|x) against p(y) p(z₂) p(z₁|y, z₂).

    All levels are trained together and inferred from x, and the decoder is told all of them; in the
    paper M1 is trained first, q(y|z₁) sees its code, and the decoder sees z₁ alone.

    The arguments are those of `M2`. Half of what the class leaves of D is z₁, the rest z₂.

    Raises:
        ValueError: There are fewer than two classes, or fewer than two dimensions beside them.
    """

    def _build(self, width: int) -> None:
        rest = self.features - self.classes
        if rest < 2:
            raise ValueError(
                f"The class takes {self.classes} of D = {self.features} dimensions, and two or "
                f"more must be left: choose --latent {self.classes + 2} or more."
            )
        self.low, self.high = (rest + 1) // 2, rest // 2
        self.style = Level(self.high, (self.context, self.classes), width)
        self.code = Gaussian(self.low, self.context)
        self.down = Level(self.low, (self.classes, self.high), width)

    def _inferred(self, h: Tensor) -> dict[str, tuple[int, Any]]:
        code = self.code(h)
        style = partial(self.style, h)
        return {"style": (self.high, style), "code": (self.low, lambda y, z: code)}

    def _generated(self) -> dict[str, tuple[int, Any]]:
        return {"style": self._normal(self.high), "code": (self.low, self.down)}


def classified(draw: Draw, alpha: float = 0.1, *, items: int, labelled: int) -> Tensor:
    """α N / N_l times -log q(y|x) (B,) nats where the label is known, 0 elsewhere (eq. 9).

    Args:
        draw: Draws from `Strata`.
        alpha: α; as a sum over training images it is α N times the mean over those with a label.
        items: N, the number of training images.
        labelled: N_l, the number of those whose label is seen.
    """
    q, labels = draw.q, None if draw.seen is None else draw.seen.labels
    if labels is None or not isinstance(q, Strata):
        return torch.zeros_like(draw.log_px[0])
    cost = -q.logits.log_softmax(-1).gather(1, labels.clamp_min(0)[:, None])[:, 0]
    return alpha * items / max(1, labelled) * cost * (labels >= 0)


#: What both variants share.
_CLASSIFIED: dict[str, Any] = {
    "needs": ("labels",),
    "penalties": {"classifier": classified},
    "family": "semi-supervised",
    "deviations": {
        "gradient": "independent draws of the class, which training does not take, have no gradient"
    },
}


@hookimpl
def vaebench_variants() -> list[Variant]:
    """M2, trained with its ELBO and the classifier's term."""
    return [
        Variant(
            "m2",
            M2,
            reference="Kingma et al. 2014, arXiv 1406.5298, eq. 6-9 (M2)",
            description="Few labels: q(y|x) q(z'|x, y) of a class, which is summed over where it "
            "is hidden, and a style; less α N times the classifier's mean -log q(y|x).",
            **_CLASSIFIED,
        )
    ]


class Stacked:
    """The plugin `m1-m2`: M2 with a code between class and pixels."""

    @staticmethod
    @hookimpl
    def vaebench_variants() -> list[Variant]:
        """M1+M2, its levels trained together."""
        return [
            Variant(
                "m1-m2",
                M1M2,
                reference="Kingma et al. 2014, arXiv 1406.5298 (M1+M2, trained together)",
                description="Few labels: `m2` with a further code, p(y) p(z₂) p(z₁|y, z₂), between "
                "class, style and pixels.",
                **_CLASSIFIED,
            )
        ]
