"""Examines the backbones and likelihoods that anyone may bring before anything is trained."""

import torch
from torch import Tensor, nn

from vaebench.compute.random import generator, seeded
from vaebench.data.observation import observe
from vaebench.data.validation import explained
from vaebench.errors import UserError
from vaebench.models.backbones import Backbone
from vaebench.models.items import PAD
from vaebench.models.likelihoods import TAKES, Likelihood


def check_networks(
    what: str,
    chosen: Backbone,
    shape: tuple[int, ...],
    latent: int,
    width: int,
    numbers: int = 1,
) -> None:
    """Raise UserError unless a backbone builds an encoder and a decoder that fit items of a shape.

    It is called `what` in a sentence.

    The decoder of images (C, H, W) has to return `numbers` of them for each value of a pixel.
    Both networks are built and see two inputs, in evaluation mode; nothing of it is kept.
    """
    name = f"{what[0].upper()}{what[1:]}"
    with seeded(0, "admission"), torch.no_grad():
        with explained(name):
            built = chosen.build(shape, latent, width)
        pair = built if isinstance(built, tuple) and len(built) == 2 else ()
        if not pair or not all(isinstance(part, nn.Module) for part in pair):
            raise UserError(
                f"{name} builds a {type(built).__name__}; build(shape, latent, width) must return "
                "an encoder and a decoder, both torch.nn.Module."
            )
        x, told, answers = _trial(chosen, shape, numbers)
        with explained(f"{name}, asked for a decoder of shape {answers[0][1:]},"):
            pair = chosen.networks(shape, latent, width, numbers)
        encoder, decoder = (part.eval() for part in pair)
        features = getattr(encoder, "features", None)
        if type(features) is not int or features < 1:
            raise UserError(
                f"The encoder of {what} has {features!r:.60} as its attribute `features`; it "
                "must be F, the number of features that it returns for an item."
            )
        for part, network, inputs, outputs in (
            ("encoder", encoder, (x,), [(2, features)]),
            ("decoder", decoder, (torch.randn(2, latent), *told), answers),
        ):
            with explained(f"The {part} of {what}"):
                found = network(*inputs)
            if not isinstance(found, Tensor) or tuple(found.shape) not in outputs:
                kind = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
                raise UserError(
                    f"The {part} of {what} maps {tuple(inputs[0].shape)} to {kind} "
                    f"instead of {outputs[0]}; fix its `build`."
                )
            if not found.is_floating_point() or not found.isfinite().all():
                raise UserError(
                    f"The {part} of {what} returns {found.dtype} that is not finite "
                    "everywhere; fix its `build`."
                )


def _trial(
    chosen: Backbone, shape: tuple[int, ...], numbers: int
) -> tuple[Tensor, tuple[Tensor, ...], list[tuple[int, ...]]]:
    """Two items, what their decoder is told beside latents, and the shapes that it may answer."""
    if chosen.kind == "tokens":
        length, symbols = shape
        x = torch.arange(2 * length).reshape(2, length) % symbols
        x[1, max(1, length // 2) :] = PAD
        before = torch.arange(2 * length).reshape(2, length) % (symbols + 2)
        return x, (before,), [(2, length, symbols), (2, 1, symbols)]
    said = tuple(shape) if numbers == 1 else (numbers * shape[0], *shape[1:])
    return torch.rand(2, *shape), (), [(2, *said)]


def check_likelihood(name: str, chosen: Likelihood, shape: tuple[int, ...]) -> None:
    """Raise UserError unless a likelihood scores items of a shape, and draws images."""
    what = f"The likelihood {name!r}"
    outputs, takes = chosen.outputs, getattr(chosen, "takes", None)
    if type(outputs) is not int or outputs < 1:
        raise UserError(f"{what} has outputs = {outputs!r:.40}; it must be 1 or more, an int.")
    if takes not in TAKES:
        raise UserError(f"{what} has takes = {takes!r:.40}; it must be one of {', '.join(TAKES)}.")
    random = generator(0, "admission")
    if takes == "tokens":
        _check_tokens(what, chosen, shape)
        return
    pixels = torch.randint(chosen.levels, (2, *shape), generator=random).to(torch.uint8)
    x = observe(takes, pixels, chosen.levels, random)
    output = torch.randn(3, 2, outputs * shape[0], *shape[1:], generator=random)
    output.requires_grad_()
    with seeded(0, "admission"), explained(what):
        log_px = chosen.log_prob(output, x)
        pictures = {"mean": chosen.mean(output), "sample": chosen.sample(output)}
    _check_tensor(f"{what} returns as log_prob", log_px, (3, 2))
    with explained(f"The gradient of {what[0].lower()}{what[1:]}"):
        (slope,) = torch.autograd.grad(log_px.sum(), output)
    _check_tensor(f"{what} has as gradient", slope, tuple(output.shape))
    for part, found in pictures.items():
        _check_tensor(f"{what} returns as {part}", found, (3, 2, *shape))
    if not (pictures["mean"].detach() - 0.5).abs().max() < 0.5 + 1e-5:
        raise UserError(f"{what} returns as mean what is not in [0, 1]; return grey values.")


def _check_tokens(what: str, chosen: Likelihood, shape: tuple[int, ...]) -> None:
    output = torch.randn(3, 2, *shape, generator=generator(0, "admission"))
    x = torch.arange(2 * shape[0]).reshape(2, -1) % shape[1]
    with explained(what):
        log_px = chosen.log_prob(output, x)
    _check_tensor(f"{what} returns as log_prob", log_px, (3, 2))


def _check_tensor(what: str, found: object, shape: tuple[int, ...]) -> None:
    if not isinstance(found, Tensor) or tuple(found.shape) != shape:
        kind = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise UserError(f"{what} {kind}; it must be a tensor of shape {shape}.")
    if not found.is_floating_point() or not found.isfinite().all():
        raise UserError(f"{what} numbers of {found.dtype} that are not finite everywhere.")
