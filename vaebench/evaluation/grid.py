"""Grids of pictures as PNG files."""

from io import BytesIO

import torch
from PIL import Image
from torch import Tensor

COLUMNS = 16


def grid(*rows: Tensor, columns: int = COLUMNS) -> bytes:
    """Stacks of pictures (N, C, H, W) in [0, 1] as one PNG, 16 or `columns` to a line.

    Several stacks alternate line by line, so that a picture stands under its original.
    """
    height, width = rows[0].shape[-2:]
    scale = max(1, 32 // max(height, width))
    lines = []
    for start in range(0, len(rows[0]), columns):
        for stack in rows:
            line = stack[start : start + columns].clamp(0, 1).mul(255).round().byte().cpu()
            line = line.repeat_interleave(scale, -1).repeat_interleave(scale, -2)
            line = torch.nn.functional.pad(line, (1, 1, 1, 1), value=255)
            missing = columns - len(line)
            line = torch.nn.functional.pad(line, (0, 0, 0, 0, 0, 0, 0, missing), value=255)
            lines.append(torch.cat(list(line), -1))
    pixels = torch.cat(lines, -2)
    array = pixels[0] if len(pixels) == 1 else pixels.permute(1, 2, 0)
    buffer = BytesIO()
    Image.fromarray(array.contiguous().numpy()).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
