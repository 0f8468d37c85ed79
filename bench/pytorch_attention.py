"""Causal softmax attention of attention_cpu.ts in PyTorch: scaled_dot_product_attention, forward, and forward and backward.

python bench/pytorch_attention.py [THREADS]; prints milliseconds, the median over ROUNDS, the minimum and the maximum.
"""
import statistics
import sys
import time

import torch
from torch.nn import functional as F

ROUNDS, SAMPLE, WARM = 9, 0.05, 0.5
torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
torch.manual_seed(1)


def seconds(call, calls):
    began = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - began) / calls


for shape in [12, 64, 4, 32], [1, 2048, 4, 64]:
    # In memory [B, T, H, d], as in heed and in the model of pytorch_step.py.
    q, k, v = (torch.randn(shape).transpose(1, 2).requires_grad_() for _ in range(3))
    dz = torch.randn(shape).transpose(1, 2)

    def forward():
        with torch.no_grad():
            F.scaled_dot_product_attention(q, k, v, is_causal=True)

    def both():
        z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        torch.autograd.grad(z, (q, k, v), dz)

    for name, call in ("forward", forward), ("forward and backward", both):
        began = time.perf_counter()
        while time.perf_counter() - began < WARM:
            call()
        calls = max(1, round(SAMPLE / seconds(call, 1)))
        ms = sorted(1000 * seconds(call, calls) for _ in range(ROUNDS))
        print(f"softmax {shape} {name}: {statistics.median(ms):.3f} ms, {ms[0]:.3f} to {ms[-1]:.3f}")
