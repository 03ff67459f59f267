"""How networks are fitted to codes: standardised, by Adam, the best on held-out codes kept."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

#: Steps of training, of so many rows, and steps between two looks at the held-out share.
STEPS, _BATCH, _EVERY = 3000, 256, 100
_HELD_OUT, _RATE = 0.1, 1e-3


class Standard(nn.Module):
    """Codes (..., D) less their mean, by their standard deviation."""

    def __init__(self, codes: Tensor) -> None:
        super().__init__()
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", codes.mean(0))
        self.register_buffer("scale", codes.std(0).clamp_min(1e-6))

    def forward(self, z: Tensor) -> Tensor:
        """Codes to their standardised form."""
        return (z - self.mean) / self.scale

    def back(self, y: Tensor) -> Tensor:
        """Standardised codes to codes."""
        return y * self.scale + self.mean


def fit(network: nn.Module, objective: Callable[[Tensor], Tensor], codes: Tensor) -> None:
    """Maximise an objective of rows (B, D) to (B,), and leave the weights that are best held out.

    Args:
        network: What is trained.
        objective: Computes with it.
        codes: Rows (N, D); a tenth of them is held out.
    """
    codes = codes[torch.randperm(len(codes), device="cpu").to(codes.device)]
    cut = max(1, int(_HELD_OUT * len(codes)))
    held_out, rows = codes[:cut], codes[cut:]
    optimiser = torch.optim.Adam(network.parameters(), _RATE)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    best, kept = -torch.inf, {k: v.clone() for k, v in network.state_dict().items()}
    for step in range(STEPS):
        if step % _EVERY == 0 or step == STEPS - 1:
            with torch.no_grad():
                value = objective(held_out).mean().item()
            if value > best:
                best, kept = value, {k: v.clone() for k, v in network.state_dict().items()}
        some = torch.randint(len(rows), (min(_BATCH, len(rows)),), device="cpu")
        loss = -objective(rows[some.to(rows.device)]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        rate.step()
    network.load_state_dict(kept)
    network.eval().requires_grad_(False)
