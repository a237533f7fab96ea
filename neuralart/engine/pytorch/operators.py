"""What each operator of MXNet means, in PyTorch. One without a row in `OPERATORS` cannot be run.

A row takes the inputs as tensors and the attributes, and returns the output, or a tuple of outputs.
Autograd differentiates them. All of them are deterministic on a card, forward and backward, if
PyTorch is asked for deterministic convolutions and products.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Attrs = dict[str, Any]
Operator = Callable[[Sequence[Tensor], Attrs], Tensor | tuple[Tensor, ...]]

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class ConstantError(Exception):
    """An attribute has a value that no graph of ours has."""


def _only(attrs: Attrs, name: str, *allowed: Any) -> Any:
    """The attribute, if it has one of these values or is not given."""
    value = attrs.get(name, allowed[0])
    if value not in allowed:
        raise ConstantError(f"{name} {value}")
    return value


def _convolution(inputs: Sequence[Tensor], attrs: Attrs) -> Tensor:
    x, weight, *bias = inputs
    return functional.conv2d(
        x,
        weight,
        bias[0] if bias else None,
        stride=attrs.get("stride", (1, 1)),
        padding=attrs.get("pad", (0, 0)),
        dilation=attrs.get("dilate", (1, 1)),
        groups=attrs.get("num_group", 1),
    )


def _deconvolution(inputs: Sequence[Tensor], attrs: Attrs) -> Tensor:
    x, weight, *bias = inputs
    return functional.conv_transpose2d(
        x,
        weight,
        None if attrs.get("no_bias", True) else bias[0],
        stride=attrs.get("stride", (1, 1)),
        padding=attrs.get("pad", (0, 0)),
        dilation=attrs.get("dilate", (1, 1)),
        groups=attrs.get("num_group", 1),
    )


def batch_norm(
    inputs: Sequence[Tensor], attrs: Attrs, *, learns: bool
) -> Tensor | tuple[Tensor, ...]:
    """BatchNorm: by the statistics of its input if ``learns``, else by those that were set.

    With ``output_mean_var`` also the means, and 1 / standard deviations, (C,).
    """
    x, gamma, beta, mean, variance = inputs
    _only(attrs, "fix_gamma", False)
    if attrs.get("output_mean_var", False):
        out: tuple[Tensor, ...] = torch.native_batch_norm(
            x, gamma, beta, None if learns else mean, None if learns else variance, learns, 0.0,
            attrs["eps"],
        )  # fmt: skip
        return out
    normalised = functional.batch_norm(
        x,
        None if learns else mean,
        None if learns else variance,
        gamma,
        beta,
        training=learns,
        eps=attrs["eps"],
    )
    return normalised.to(x.dtype)  # mapped over photos, their scales would make it float32


def _pooling(inputs: Sequence[Tensor], attrs: Attrs) -> Tensor:
    _only(attrs, "pad", (0, 0))
    kind = _only(attrs, "pool_type", "max", "avg")
    pool = functional.max_pool2d if kind == "max" else functional.avg_pool2d
    out: Tensor = pool(inputs[0], attrs["kernel"], attrs.get("stride", (1, 1)))
    return out


def reflected(x: Tensor, edges: Sequence[int]) -> Tensor:
    """A frame of reflection, at most as wide as the picture less one: top, bottom, left, right.

    In slices, since the gradient of PyTorch's own reflection is not deterministic on a card.
    """
    top, bottom, left, right = edges
    for axis, before, after in ((2, top, bottom), (3, left, right)):
        size = x.shape[axis]
        parts = [x]
        if before:
            parts.insert(0, x.narrow(axis, 1, before).flip(axis))
        if after:
            parts.append(x.narrow(axis, size - 1 - after, after).flip(axis))
        x = torch.cat(parts, axis) if len(parts) > 1 else x
    return x


def _pad(inputs: Sequence[Tensor], attrs: Attrs) -> Tensor:
    top, bottom, left, right = attrs["pad_width"][4:]
    if _only(attrs, "mode", "reflect", "constant") == "reflect":
        return reflected(inputs[0], (top, bottom, left, right))
    return functional.pad(inputs[0], (left, right, top, bottom))


def _activation(inputs: Sequence[Tensor], attrs: Attrs) -> Tensor:
    kinds = {"relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}
    return kinds[_only(attrs, "act_type", *kinds)](inputs[0])


def _leaky(inputs: Sequence[Tensor], attrs: Attrs) -> Tensor:
    _only(attrs, "act_type", "leaky")
    return functional.leaky_relu(inputs[0], attrs["slope"])


def _reshape(inputs: Sequence[Tensor], attrs: Attrs) -> Tensor:
    return inputs[0].reshape(new_shape(inputs[0].shape, attrs["shape"]))


def new_shape(shape: Sequence[int], codes: Sequence[int]) -> list[int]:
    """The shape that MXNet's codes make of another.

    0 keeps an axis, -1 is inferred, -2 keeps all axes that follow, -3 merges two, and -4
    splits one into the two sizes that follow, one of which may be -1.
    """
    sizes: list[int] = []
    axis, left = 0, list(codes)
    while left:
        code = left.pop(0)
        if code == -2:
            sizes += shape[axis:]
            axis = len(shape)
        elif code == -3:
            sizes.append(shape[axis] * shape[axis + 1])
            axis += 2
        elif code == -4:
            first, second = left.pop(0), left.pop(0)
            first = shape[axis] // second if first == -1 else first
            second = shape[axis] // first if second == -1 else second
            sizes += [first, second]
            axis += 1
        else:
            sizes.append(shape[axis] if code == 0 else code)
            axis += 1
    return sizes


def _depth_to_space(inputs: Sequence[Tensor], attrs: Attrs) -> Tensor:
    """In the order that ONNX calls DCR: a pixel's place in the block is the slowest part."""
    (x,), block = inputs, attrs["block_size"]
    count, channels, height, width = x.shape
    parts = x.reshape(count, block, block, channels // block**2, height, width)
    return parts.permute(0, 3, 4, 1, 5, 2).reshape(
        count, channels // block**2, height * block, width * block
    )


def _dot(inputs: Sequence[Tensor], attrs: Attrs) -> Tensor:
    """Sums over the last axis of the left and the first of the right, in float32."""
    left, right = inputs
    _only(attrs, "transpose_a", False)
    if attrs.get("transpose_b", False):
        right = right.t()
    return _at_least_1d(torch.tensordot(left.float(), right.float(), dims=1))


def _split(inputs: Sequence[Tensor], attrs: Attrs) -> tuple[Tensor, ...]:
    axis = attrs.get("axis", 1)
    _only(attrs, "squeeze_axis", False)
    size = inputs[0].shape[axis] // attrs["num_outputs"]
    return tuple(torch.split(inputs[0], size, dim=axis))


def _slice(inputs: Sequence[Tensor], attrs: Attrs) -> Tensor:
    steps = attrs.get("step") or (None,) * len(attrs["begin"])
    ranges = zip(attrs["begin"], attrs["end"], steps, strict=True)
    return inputs[0][tuple(slice(*each) for each in ranges)]


def _slice_axis(inputs: Sequence[Tensor], attrs: Attrs) -> Tensor:
    whole = (slice(None),) * attrs["axis"]
    return inputs[0][(*whole, slice(attrs["begin"], attrs["end"]))]


def _slice_like(inputs: Sequence[Tensor], attrs: Attrs) -> Tensor:
    out, like = inputs
    for axis in attrs["axes"]:
        out = out.narrow(axis, 0, like.shape[axis])
    return out


def _sum(inputs: Sequence[Tensor], attrs: Attrs) -> Tensor:
    return _reduced(inputs[0].float().sum, inputs[0], attrs)


def _mean(inputs: Sequence[Tensor], attrs: Attrs) -> Tensor:
    return _reduced(inputs[0].float().mean, inputs[0], attrs)


def _reduced(reduce: Callable[..., Tensor], x: Tensor, attrs: Attrs) -> Tensor:
    """Over some axes or all, in float32."""
    axes, keep = attrs.get("axis"), attrs.get("keepdims", False)
    if axes is None:
        axes = tuple(range(x.dim()))
    return _at_least_1d(reduce(dim=axes, keepdim=keep))


def _at_least_1d(x: Tensor) -> Tensor:
    """MXNet has no scalars: they are (1,)."""
    return x if x.dim() else x.reshape(1)


def _clip(inputs: Sequence[Tensor], attrs: Attrs) -> Tensor:
    return inputs[0].clamp(attrs["a_min"], attrs["a_max"])


def _one_hot(inputs: Sequence[Tensor], attrs: Attrs) -> Tensor:
    """Rows of zeros for numbers that are not in 0 .. depth - 1."""
    numbers = torch.arange(attrs["depth"], dtype=torch.float32, device=inputs[0].device)
    return (inputs[0].unsqueeze(-1) == numbers).float()


def _instance_norm(inputs: Sequence[Tensor], attrs: Attrs) -> Tensor:
    x, gamma, beta = inputs
    return functional.instance_norm(x, weight=gamma, bias=beta, eps=attrs["eps"])


def _of_two(compute: Callable[[Any, Any], Tensor]) -> Operator:
    return lambda inputs, attrs: compute(*inputs)


def _of_scalar(compute: Callable[[Any, float], Tensor]) -> Operator:
    return lambda inputs, attrs: compute(inputs[0], attrs["scalar"])


def _of_one(compute: Callable[[Tensor], Tensor]) -> Operator:
    return lambda inputs, attrs: compute(inputs[0])


_ARITHMETIC: dict[str, Callable[[Any, Any], Tensor]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
}

CONVOLUTIONS = ("Convolution", "Deconvolution")
"""What computes in another number format if one is asked for."""

OPERATORS: dict[str, Operator] = {
    "Activation": _activation,
    "BlockGrad": _of_one(Tensor.detach),
    "Concat": lambda inputs, attrs: torch.cat(tuple(inputs), attrs.get("dim", 1)),
    "Convolution": _convolution,
    "Deconvolution": _deconvolution,
    "InstanceNorm": _instance_norm,
    "LeakyReLU": _leaky,
    "Pad": _pad,
    "Pooling": _pooling,
    "Reshape": _reshape,
    "SliceChannel": _split,
    "add_n": lambda inputs, attrs: sum(inputs[1:], inputs[0]),
    "amp_cast": lambda inputs, attrs: inputs[0].to(_DTYPES[attrs["dtype"]]),
    "broadcast_like": _of_two(lambda a, b: a.expand(b.shape)),
    "clip": _clip,
    "depth_to_space": _depth_to_space,
    "dot": _dot,
    "floor": _of_one(torch.floor),
    "mean": _mean,
    "one_hot": _one_hot,
    "ones_like": _of_one(torch.ones_like),
    "reshape_like": _of_two(lambda a, b: a.reshape(b.shape)),
    "sigmoid": _of_one(torch.sigmoid),
    "slice": _slice,
    "slice_axis": _slice_axis,
    "slice_like": _slice_like,
    "sqrt": _of_one(torch.sqrt),
    "square": _of_one(torch.square),
    "stack": lambda inputs, attrs: torch.stack(tuple(inputs), attrs.get("axis", 0)),
    "sum": _sum,
    "tanh": _of_one(torch.tanh),
    "tile": lambda inputs, attrs: inputs[0].tile(attrs["reps"]),
    "transpose": lambda inputs, attrs: inputs[0].permute(attrs["axes"]),
    "_plus_scalar": _of_scalar(lambda x, number: x + number),
    "_minus_scalar": _of_scalar(lambda x, number: x - number),
    "_rminus_scalar": _of_scalar(lambda x, number: number - x),
    "_mul_scalar": _of_scalar(lambda x, number: x * number),
    "_div_scalar": _of_scalar(lambda x, number: x / number),
    "_rdiv_scalar": _of_scalar(lambda x, number: number / x),
    **{f"elemwise_{name}": _of_two(compute) for name, compute in _ARITHMETIC.items()},
    **{f"broadcast_{name}": _of_two(compute) for name, compute in _ARITHMETIC.items()},
}


def constant(op: str, attrs: Attrs, device: torch.device) -> Tensor:
    """The output of an operator without inputs. Raises KeyError if there is no such operator."""
    if op == "_full":
        return torch.full(attrs["shape"], float(attrs["value"]), device=device)
    if op == "_arange":
        if attrs["stop"] is not None or attrs["repeat"] != 1:
            raise ConstantError("arange with a beginning")
        return torch.arange(0, attrs["start"], attrs["step"], dtype=torch.float32, device=device)
    raise KeyError(op)
