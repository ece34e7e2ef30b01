"""What every mixer promises, as checks that raise AssertionError.

Each check takes `make(direction)`, which returns a fresh mixer of width WIDTH in that direction with
random parameters. They run over the registry, over a mixer that is added as a file, and over mixers that
are broken on purpose.

    for check in CHECKS:
        run(check, "retnet")        # AssertionError: mixer 'retnet': causal sees no later frame: …
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import mixers
from mixers import TokenMixer

WIDTH, HEADS, FRAMES = 32, 4, 37  # 37 frames: three chunks, the last one filled up

Make = Callable[[str], TokenMixer]
DIRECTIONS = ("causal", "bidirectional")


def maker(name: str) -> Make:
    """`make` of the registered mixer of that name, with the same parameters every time."""

    def make(direction: str) -> TokenMixer:
        torch.manual_seed(0)
        return mixers.build(name, WIDTH, HEADS, direction)

    return make


def run(check: Callable[[Make], None], name: str) -> None:
    """One check of the registered mixer of that name; its AssertionError says which mixer and what."""
    try:
        check(maker(name))
    except AssertionError as error:
        raise AssertionError(f"mixer {name!r}: {said(check)}: {error}") from error


def said(check: Callable[[Make], None]) -> str:
    """check_any_number_of_frames → "any number of frames"."""
    return check.__name__.removeprefix("check_").replace("_", " ")


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


def check_autocast_trains(make: Make) -> None:
    for direction in DIRECTIONS:
        mixer = make(direction)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixer(noise(2, FRAMES, WIDTH)).float().square().sum().backward()
        for name, parameter in mixer.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.dtype == parameter.dtype, name
            assert parameter.grad.isfinite().all(), name


def check_compiled_equals_eager(make: Make) -> None:
    """One graph without a break (`fullgraph`), the same numbers forward and backward."""
    torch.compiler.reset()
    mixer, mask = make("bidirectional"), masks()["right"]
    compiled = torch.compile(mixer, backend="aot_eager", fullgraph=True)
    outcomes = []
    for module in (mixer, compiled):
        x = noise(4, FRAMES, WIDTH).requires_grad_()
        y = module(x, mask)
        gradients = torch.autograd.grad((y * mask[..., None]).square().sum(), [x, *mixer.parameters()])
        outcomes.append([y[mask], *gradients])
    for eager, graph in zip(*outcomes, strict=True):
        assert close(eager, graph), (eager - graph).abs().max()


def check_gates_and_norms_are_exempt_from_weight_decay(make: Make) -> None:
    """Whatever has one axis sets a gate, a decay or a norm, unless it is the bias of a linear map.

    Weights of linear maps and convolutions are not exempt: they have two axes or more.
    """
    for owner in make("causal").modules():
        for name, parameter in owner.named_parameters(recurse=False):
            exempt = getattr(parameter, "_no_weight_decay", False)
            if name == "weight" and parameter.dim() > 1:
                assert not exempt, f"{type(owner).__name__}.{name} must decay"
            elif parameter.dim() < 2 and not (name == "bias" and is_linear(owner)):
                assert exempt, f"{type(owner).__name__}.{name} must be exempt: see mixers.parts.exempt"


def is_linear(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and weight.dim() > 1


def check_flops_are_those_that_torch_counts(make: Make) -> None:
    """Within 10 %: torch counts matrix products, convolutions and attention, but no elementwise work, as
    which the smallest products are written."""
    for direction in DIRECTIONS:
        mixer = make(direction)
        for frames in (20, FRAMES, 200):
            told = mixer.flops(frames)
            if told is not None:
                counted = counted_flops(mixer, noise(1, frames, WIDTH))
                assert abs(told / counted - 1) < 0.1, f"{direction}, {frames} frames: {told} for {counted}"


def counted_flops(mixer: TokenMixer, x: Tensor) -> int:
    """What torch counts in one forward pass, and two products that it leaves out: see `UNCOUNTED`."""
    counter = FlopCounterMode(display=False, custom_mapping=UNCOUNTED)
    with counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        mixer(x)
    return counter.get_total_flops()


def _solve_flops(a: tuple[int, ...], b: tuple[int, ...], *_: object, **__: object) -> int:
    """Of a triangular system: half a product of the matrix with the right-hand sides."""
    return math.prod(b) * a[-1]


def _added_product_flops(_: object, a: tuple[int, ...], b: tuple[int, ...], **__: object) -> int:
    return 2 * math.prod(a) * b[-1]


UNCOUNTED = {
    torch.ops.aten.linalg_solve_triangular: _solve_flops,
    torch.ops.aten.baddbmm_: _added_product_flops,
}


BAD_INPUT = {
    "x is (B, T, D) with D = 32 and got shape (37, 32)": lambda x, mask: (x[0], mask),
    "x is (B, T, D) with D = 32 and got shape (2, 37, 31)": lambda x, mask: (x[..., 1:], mask),
    "x has at least one utterance and one frame, and got shape (2, 0, 32)": lambda x, mask: (x[:, :0], None),
    "x is a floating-point tensor and got torch.int64": lambda x, mask: (x.long(), mask),
    "x is a tensor and got list": lambda x, mask: (x.tolist(), mask),
    "x is torch.float64 and the mixer's parameters torch.float32": lambda x, mask: (x.double(), mask),
    "mask is a bool tensor, True on real frames, and got torch.float32": lambda x, mask: (x, mask.float()),
    "mask is a bool tensor, True on real frames, and got list": lambda x, mask: (x, mask.tolist()),
    "mask is (B, T) = (2, 37) and got shape (2, 36)": lambda x, mask: (x, mask[:, 1:]),
    "mask is (B, T) = (2, 37) and got shape (2, 37, 1)": lambda x, mask: (x, mask[..., None]),
}


def check_bad_input_is_refused_by_name(make: Make) -> None:
    mixer = make("bidirectional")
    x, mask = noise(2, FRAMES, WIDTH), torch.ones(2, FRAMES, dtype=torch.bool)
    for message, spoil in BAD_INPUT.items():
        if "parameters" in message and not any(True for _ in mixer.parameters()):
            continue
        told = refusal(mixer, *spoil(x, mask))
        assert told.startswith(message), f"told {told!r}, not {message!r}"


def refusal(mixer: TokenMixer, x: object, mask: object) -> str:
    """The sentence of the ValueError; empty where the input is taken."""
    try:
        mixer(x, mask)
    except ValueError as error:
        return str(error)
    return ""


CHECKS = tuple(value for name, value in sorted(globals().items()) if name.startswith("check_"))
