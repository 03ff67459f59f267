"""Anyone's pictures in a folder, as a data set."""

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from vaebench.data.images import Images, Request, Split, holdout, stack
from vaebench.errors import UserError

PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"}


def read_folder(request: Request) -> Images:
    """Anyone's pictures: `train/` and `test/` if both exist, else every tenth is for testing."""
    from PIL import Image

    root, size = request.root, request.size
    if size is None:
        raise UserError("A folder of images needs --image-size, the side length in pixels.")
    if not root.is_dir():
        raise UserError(f"{root} is no folder; write --dataset folder:PATH with one of images.")

    def files(folder: Path) -> list[Path]:
        return sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURES)

    def read(paths: list[Path], mode: str) -> Tensor:
        def pictures() -> Any:
            for path in paths:
                try:
                    with Image.open(path) as picture:
                        picture.load()
                        yield picture
                except (OSError, ValueError, Image.DecompressionBombError) as error:
                    raise UserError(f"{path} is no readable image ({error}); remove it.") from error

        return stack(pictures(), size, mode)

    given = [files(root / "train"), files(root / "test")]
    everything = files(root)
    if len(everything) < 20:
        raise UserError(f"{root} holds {len(everything)} images; at least 20 are needed.")
    shuffled = np.random.default_rng(0).permutation(len(everything))
    tenth = max(1, len(everything) // 10)
    train, test = (
        given
        if all(given)
        else (
            [everything[i] for i in shuffled[tenth:]],
            [everything[i] for i in shuffled[:tenth]],
        )
    )
    try:
        with Image.open(train[0]) as first:
            mode = "L" if first.mode in ("1", "L", "I", "I;16", "LA") else "RGB"
    except OSError as error:
        raise UserError(f"{train[0]} is no readable image ({error}); remove it.") from error
    learn = Split(read(train, mode))
    return Images(*holdout(learn, max(1, len(train) // 10)), Split(read(test, mode)))
