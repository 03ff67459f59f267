"""scikit-learn's handwritten digits."""

import numpy as np
import torch

from vaebench.data.images import Images, Request, Split


def read(request: Request) -> Images:
    """Digits of 8 × 8 pixels with their classes, in random order, whatever the request."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.images))
    pixels = torch.from_numpy(bunch.images[order].astype(np.uint8))[:, None]
    labels = torch.from_numpy(bunch.target[order])
    test, validation, train = (
        Split(pixels[part], labels[part])
        for part in (slice(400), slice(400, 600), slice(600, None))
    )
    return Images(train, validation, test, levels=17)
