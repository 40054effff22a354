"""Compiled passes over a gradient, masking and summing; they need numba (extra `numba`).

They give the bits of PyTorch's operators with less traffic to memory, which is what these wait for:
a mask takes a bit for each weight instead of a float, and both sums are updated in one pass. They
are written for LLVM (llvmlite, which numba builds on), which compiles them in some 0.05 s, where
numba's own compiler takes seconds.
"""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from suite.sparsity.storage.condensed import numba_is_installed

LEAST = 2**14
"""Weights from which a compiled pass is worth its call, and llvmlite worth loading (0.15 s)."""
LANES = 64
"""Weights that one iteration masks: as many as a 64-bit word has bits."""


@dataclass(frozen=True)
class Passes:
    """The compiled passes, over contiguous float32 tensors on the CPU (`is_plain`) of one size."""

    _mask: Callable[[int, int, int], None]
    _sums: Callable[[int, int, int, int], None]

    def mask(self, gradient: Tensor, bits: Tensor) -> None:
        """Multiply `gradient` [n] in place by 0 or 1: `bits` [⌈n/8⌉] of `packed`."""
        self._mask(gradient.data_ptr(), bits.data_ptr(), gradient.numel())
        torch.autograd.graph.increment_version(gradient)

    def add_moments(self, gradient: Tensor, total: Tensor, total_square: Tensor) -> None:
        """Add `gradient` to `total` and its square to `total_square`."""
        pointers = (one.data_ptr() for one in (gradient, total, total_square))
        self._sums(*pointers, gradient.numel())
        torch.autograd.graph.increment_version((total, total_square))


class PackedMask:
    """A mask of 0 and 1 as bits; packed anew after each write to it.

    Args:
        mask: contiguous or not, of any floating dtype. Writes in place are noticed by its version;
            its storage must not be replaced.
    """

    def __init__(self, mask: Tensor) -> None:
        self._mask = mask
        self._version = -1
        self._bits: Tensor | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return the state of a copy, whose mask counts its versions anew."""
        return {"_mask": self._mask, "_version": -1, "_bits": None}

    def bits(self) -> Tensor | None:
        """Return the mask as bits; None at the first call after a write.

        A mask that is another at every step is not worth packing.
        """
        if self._mask._version != self._version:
            self._version, self._bits = self._mask._version, None
            return None
        if self._bits is None and is_plain(self._mask):
            self._bits = packed(self._mask)
        return self._bits


def packed(mask: Tensor) -> Tensor:
    """Return where a contiguous mask [n] on the CPU is not 0, uint8 [⌈n/8⌉], lowest bits first."""
    kept = mask.detach().numpy().ravel() != 0
    return torch.from_numpy(np.packbits(kept, bitorder="little"))


def is_plain(tensor: Tensor) -> bool:
    """Return whether a tensor is nothing but contiguous float32 numbers on the CPU."""
    return (
        type(tensor) is Tensor
        and tensor.dtype == torch.float32
        and tensor.layout == torch.strided
        and tensor.is_cpu
        and tensor.is_contiguous()
        and not tensor.is_neg()
    )


def passes_for(tensors: Sequence[Tensor]) -> Passes | None:
    """Return the compiled passes if they are to be used for these tensors, else None.

    On more than one thread PyTorch splits the work.
    """
    if not any(one.numel() >= LEAST for one in tensors) or torch.get_num_threads() != 1:
        return None
    return compiled_passes() if all(map(is_plain, tensors)) else None


def compile_for(sizes: Sequence[int]) -> None:
    """Compile now if layers of these sizes call for it, so that no step has to wait."""
    if max(sizes, default=0) >= LEAST and torch.get_num_threads() == 1:
        compiled_passes()


@cache
def compiled_passes() -> Passes | None:
    """Return the compiled passes; None without numba, or where they have not PyTorch's bits."""
    if not numba_is_installed():
        return None
    from llvmlite import binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
    )
    try:
        module = llvm.parse_assembly(MASK + "".join(_sums(fused) for fused in (True, False)))
    except RuntimeError:  # an LLVM that writes pointers in another way
        return None
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    _engines.append(engine)
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    mask = ctypes.CFUNCTYPE(None, pointer, pointer, size)
    sums = ctypes.CFUNCTYPE(None, pointer, pointer, pointer, size)
    # PyTorch fuses product and sum where the processor can; so both are tried.
    for name in ("fused", "rounded"):
        passes = Passes(
            mask(engine.get_function_address("mask")), sums(engine.get_function_address(name))
        )
        if _agree(passes):
            return passes
    return None


_engines: list[Any] = []
"""What owns the compiled code: it must live as long as the process."""


def _agree(passes: Passes) -> bool:
    """Return whether the passes give PyTorch's bits, for numbers of every kind."""
    generator = torch.Generator().manual_seed(0)
    number = 3 * LANES + 13
    gradient, total, square = (torch.randn(number, generator=generator) for _ in range(3))
    special = torch.tensor([0.0, -0.0, torch.inf, -torch.inf, torch.nan, 1e-40, -1e-40, 3e38])
    for start in (0, LANES, number - len(special)):
        gradient[start : start + len(special)] = special
    kept = torch.rand(number, generator=generator).round()
    masked, sums = gradient.clone(), [total.clone(), square.clone()]
    passes.mask(masked, packed(kept))
    passes.add_moments(gradient, *sums)
    torch._foreach_add_([total], [gradient])
    torch._foreach_addcmul_([square], [gradient], [gradient])
    theirs = (gradient * kept, total, square)
    return all(same_bits(*pair) for pair in zip((masked, *sums), theirs, strict=True))


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Return whether two float32 tensors have the same bits; any NaN is like any other."""
    same = one.view(torch.int32) == other.view(torch.int32)
    return bool((same | (one.isnan() & other.isnan())).all())


# In vectors for all whole blocks, then number by number. LLVM neither fuses nor reorders operations
# unless an instruction allows it.
MASK = """
define void @mask(ptr noalias %gradient, ptr noalias readonly %bits, i64 %n) {
entry:
  %whole = and i64 %n, -64
  %any = icmp ne i64 %whole, 0
  br i1 %any, label %blocks, label %middle
blocks:
  %i = phi i64 [0, %entry], [%i.next, %blocks]
  %byte = lshr i64 %i, 3
  %at.bits = getelementptr i8, ptr %bits, i64 %byte
  %word = load i64, ptr %at.bits, align 1
  %lanes = bitcast i64 %word to <64 x i1>
  %kept = uitofp <64 x i1> %lanes to <64 x float>
  %at = getelementptr float, ptr %gradient, i64 %i
  %values = load <64 x float>, ptr %at, align 4
  %masked = fmul <64 x float> %values, %kept
  store <64 x float> %masked, ptr %at, align 4
  %i.next = add i64 %i, 64
  %i.more = icmp ult i64 %i.next, %whole
  br i1 %i.more, label %blocks, label %middle
middle:
  %left = icmp ult i64 %whole, %n
  br i1 %left, label %rest, label %done
rest:
  %j = phi i64 [%whole, %middle], [%j.next, %rest]
  %j.byte = lshr i64 %j, 3
  %j.at.bits = getelementptr i8, ptr %bits, i64 %j.byte
  %j.word = load i8, ptr %j.at.bits, align 1
  %j.low = trunc i64 %j to i8
  %j.place = and i8 %j.low, 7
  %j.shifted = lshr i8 %j.word, %j.place
  %j.lane = trunc i8 %j.shifted to i1
  %j.kept = uitofp i1 %j.lane to float
  %j.at = getelementptr float, ptr %gradient, i64 %j
  %j.value = load float, ptr %j.at, align 4
  %j.masked = fmul float %j.value, %j.kept
  store float %j.masked, ptr %j.at, align 4
  %j.next = add i64 %j, 1
  %j.more = icmp ult i64 %j.next, %n
  br i1 %j.more, label %rest, label %done
done:
  ret void
}
"""


def _sums(fused: bool) -> str:
    """Return the function that updates both sums; `fused`: without rounding the square."""
    types = "<32 x float>", "float"
    suffixes = "v32f32", "f32"
    declared = [
        f"declare {kind} @llvm.fma.{suffix}({kind}, {kind}, {kind})"
        for kind, suffix in zip(types, suffixes, strict=True)
    ]
    block, one = (
        _sums_at(prefix, kind, f"@llvm.fma.{suffix}" if fused else "")
        for prefix, kind, suffix in zip("ij", types, suffixes, strict=True)
    )
    return f"""
{chr(10).join(declared) if fused else ""}
define void @{"fused" if fused else "rounded"}(
  ptr noalias readonly %gradient, ptr noalias %total, ptr noalias %square, i64 %n
) {{
entry:
  %whole = and i64 %n, -32
  %any = icmp ne i64 %whole, 0
  br i1 %any, label %blocks, label %middle
blocks:
  %i = phi i64 [0, %entry], [%i.next, %blocks]{block}
  %i.next = add i64 %i, 32
  %i.more = icmp ult i64 %i.next, %whole
  br i1 %i.more, label %blocks, label %middle
middle:
  %left = icmp ult i64 %whole, %n
  br i1 %left, label %rest, label %done
rest:
  %j = phi i64 [%whole, %middle], [%j.next, %rest]{one}
  %j.next = add i64 %j, 1
  %j.more = icmp ult i64 %j.next, %n
  br i1 %j.more, label %rest, label %done
done:
  ret void
}}
"""


def _sums_at(index: str, kind: str, fma: str) -> str:
    """Return the instructions that update the sums of the numbers of a type at an index."""
    product = f"""
  %p.product = fmul {kind} %p.value, %p.value
  %p.new.square = fadd {kind} %p.square, %p.product"""
    if fma:
        arguments = f"{kind} %p.value, {kind} %p.value, {kind} %p.square"
        product = f"""
  %p.new.square = call {kind} {fma}({arguments})"""
    lines = f"""
  %p.at = getelementptr float, ptr %gradient, i64 %p
  %p.at.total = getelementptr float, ptr %total, i64 %p
  %p.at.square = getelementptr float, ptr %square, i64 %p
  %p.value = load {kind}, ptr %p.at, align 4
  %p.total = load {kind}, ptr %p.at.total, align 4
  %p.square = load {kind}, ptr %p.at.square, align 4
  %p.new.total = fadd {kind} %p.total, %p.value{product}
  store {kind} %p.new.total, ptr %p.at.total, align 4
  store {kind} %p.new.square, ptr %p.at.square, align 4"""
    return lines.replace("%p", f"%{index}")
