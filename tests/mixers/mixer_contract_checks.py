"""What every mixer promises, as checks that raise AssertionError.

Each check takes `make(direction)`, which returns a fresh mixer of width WIDTH in that direction with
random parameters. They run over the registry, over a mixer that is added as a file, and over mixers that
are broken on purpose.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mixers import TokenMixer

WIDTH, HEADS, FRAMES = 32, 4, 37  # 37 frames: three chunks, the last one filled up

Make = Callable[[str], TokenMixer]
DIRECTIONS = ("causal", "bidirectional")


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def close(a: Tensor, b: Tensor, tolerance: float = 2e-5) -> bool:
    return torch.allclose(a, b, atol=tolerance, rtol=tolerance)


def check_output_has_the_shape_and_dtype_of_the_input(make: Make) -> None:
    for direction in DIRECTIONS:
        for dtype in (torch.float32, torch.float64):
            x = noise(2, FRAMES, WIDTH).to(dtype)
            y = make(direction).to(dtype)(x)
            assert y.shape == x.shape
            assert y.dtype == dtype


def masks() -> dict[str, Tensor]:
    """Rows of 37, 20, 8 and 1 real frames; on the left, on the right, and scattered."""
    real = torch.tensor([FRAMES, 20, 8, 1])
    right_padded = torch.arange(FRAMES) < real[:, None]
    shuffles = torch.rand(4, FRAMES, generator=torch.Generator().manual_seed(1)).argsort(1)
    return {
        "right": right_padded,
        "left": right_padded.flip(1),
        "scattered": right_padded.gather(1, shuffles),
    }


def check_padding_never_reaches_a_real_frame(make: Make) -> None:
    x = noise(4, FRAMES, WIDTH)
    garbage = 1e3 * noise(4, FRAMES, WIDTH, seed=2)
    for direction in DIRECTIONS:
        mixer = make(direction).eval()
        for side, mask in masks().items():
            y = mixer(torch.where(mask[..., None], x, garbage), mask)
            for row in range(4):
                alone = mixer(x[row, mask[row]][None])[0]
                assert close(y[row, mask[row]], alone), f"{direction}, padded {side}, row {row}"


def check_gradient_never_reaches_a_padded_frame(make: Make) -> None:
    for direction in DIRECTIONS:
        mixer = make(direction)
        for side, mask in masks().items():
            x = noise(4, FRAMES, WIDTH).requires_grad_()
            (mixer(x, mask) * mask[..., None]).square().sum().backward()
            assert x.grad is not None
            assert not x.grad[~mask].any(), f"{direction}, padded {side}"


def check_an_utterance_does_not_see_its_batch(make: Make) -> None:
    x = noise(3, FRAMES, WIDTH)
    for direction in DIRECTIONS:
        mixer = make(direction).eval()
        assert close(mixer(x)[1:2], mixer(x[1:2]))


def check_a_full_mask_is_no_mask(make: Make) -> None:
    x = noise(2, FRAMES, WIDTH)
    for direction in DIRECTIONS:
        mixer = make(direction).eval()
        assert close(mixer(x, torch.ones(2, FRAMES, dtype=torch.bool)), mixer(x))


def influence(make: Make, direction: str, frame: int) -> Tensor:
    """How far each frame of the output moves, (FRAMES,), when one frame of the input changes."""
    mixer = make(direction).double().eval()
    x = noise(1, FRAMES, WIDTH).double()
    changed = x.clone()
    changed[0, frame] = noise(WIDTH, seed=3).double()
    return (mixer(changed) - mixer(x)).abs().amax(-1)[0]


def check_causal_sees_no_later_frame(make: Make) -> None:
    moved = influence(make, "causal", frame=20)
    assert moved[:20].max() < 1e-12
    assert moved[20:].min() > 1e-12


def check_bidirectional_sees_both_sides(make: Make) -> None:
    assert influence(make, "bidirectional", frame=20).min() > 1e-12


def check_both_directions_have_the_same_parameters(make: Make) -> None:
    shapes = [{name: p.shape for name, p in make(direction).named_parameters()} for direction in DIRECTIONS]
    assert shapes[0] == shapes[1]


def check_gradient_reaches_every_parameter(make: Make) -> None:
    for direction in DIRECTIONS:
        mixer = make(direction)
        (mixer(noise(2, FRAMES, WIDTH)) * noise(2, FRAMES, WIDTH, seed=4)).sum().backward()
        for name, parameter in mixer.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), f"{name} has no effect"


def check_equal_inputs_give_equal_bits(make: Make) -> None:
    x = noise(2, FRAMES, WIDTH)
    for direction in DIRECTIONS:
        mixer = make(direction).eval()
        assert torch.equal(mixer(x), mixer(x))


def check_any_number_of_frames(make: Make) -> None:
    for direction in DIRECTIONS:
        mixer = make(direction)
        for frames in (1, 2, 3, 16, 17, 33, 70):
            assert mixer(noise(1, frames, WIDTH)).isfinite().all(), frames


def check_a_row_of_padding_stays_finite(make: Make) -> None:
    mask = torch.ones(2, FRAMES, dtype=torch.bool)
    mask[1] = False
    for direction in DIRECTIONS:
        mixer = make(direction)
        y = mixer(noise(2, FRAMES, WIDTH), mask)
        assert y.isfinite().all()
        y[0].sum().backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in mixer.parameters())


def check_extreme_inputs_stay_finite(make: Make) -> None:
    for direction in DIRECTIONS:
        mixer = make(direction)
        y = mixer(1e3 * noise(2, FRAMES, WIDTH))
        assert y.isfinite().all()
        y.sum().backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in mixer.parameters())


def check_autocast_stays_close(make: Make) -> None:
    x = noise(2, FRAMES, WIDTH)
    for direction in DIRECTIONS:
        mixer = make(direction).eval()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = mixer(x)
        expected = mixer(x)
        error = (y.float() - expected).square().mean().sqrt() / expected.square().mean().sqrt()
        assert error < 0.05


CHECKS = tuple(value for name, value in sorted(globals().items()) if name.startswith("check_"))
