"""Mistakes that tests/test_kernels.py plants in a copy of csrc, to see that kernels_test finds each."""

# name: (file, text, what it becomes, level whose kernels are built from it)
FAULTS = {
    "none": ("gates.h", "", "", "default"),
    "row end read one too far": ("memory.h", "lanes[i] = p[i];", "lanes[i] = p[i + 1];", "default"),
    "row end read one too short": (
        "memory.h",
        "_mm256_set1_epi32(static_cast<int>(count))",
        "_mm256_set1_epi32(static_cast<int>(count) - 1)",
        "avx2",
    ),
    "row end written one too far": (
        "memory.h",
        "i < count; ++i) p[i] = lanes[i];",
        "i <= count; ++i) p[i] = lanes[i];",
        "default",
    ),
    "bias of r left out": (
        "step.h",
        "r(load_bias(p.b_ih, j, count) + load_bias(p.b_hh, j, count))",
        "r(load_bias(p.b_ih, j, count))",
        "default",
    ),
    "bias of another gate": (
        "step.h",
        "n(load_bias(p.b_ih, 2 * p.H + j, count))",
        "n(load_bias(p.b_ih, p.H + j, count))",
        "default",
    ),
    "saved in another order": (
        "step.h",
        "store_upto(saved + p.H, s.z, count);",
        "store_upto(saved + p.H, s.n, count);",
        "default",
    ),
    "weights of another gate, dots": ("forward_dots.h", "p.w_hh + (2 * p.H + j) * p.H", "p.w_hh + (p.H + j) * p.H", "default"),
    "half of the lanes not added": ("vec.h", "unpack<2, true>(first, second)", "unpack<2, false>(first, second)", "default"),
    "input part of n after the hidden sums": (
        "forward_panels.h",
        "n_input[r], acc[r][2]);",
        "acc[r][2], acc[r][2]);",
        "default",
    ),
    "gate offset in the packed weights": ("forward_panels.h", "(g * H + j) * K", "(g * K + j) * K", "default"),
    "packed in another order": ("pack.h", "w[2 * i] = v[i];", "w[2 * i] = v[n / 2 - 1 - i];", "default"),
    "last columns of a transposed A": (
        "pack.h",
        "int64_t k = whole; k < columns",
        "int64_t k = whole + 1; k < columns",
        "default",
    ),
    "rows after the last whole tile": (
        "tile.h",
        "rest_of_rows<R - 1>(n, end - n, f)",
        "rest_of_rows<R - 2>(n, end - n, f)",
        "default",
    ),
    "later blocks of a sum not added": ("matmul.h", "p.accumulate || k0 > 0", "p.accumulate", "default"),
    "partial bias sums not added": (
        "gates_backward.h",
        "total.r[v] = total.r[v] + partial.r[v];",
        "total.r[v] = partial.r[v];",
        "default",
    ),
    "gradient of n for that of q": (
        "gates_backward.h",
        "store_upto(d_hidden + 2 * H, d.q, count);",
        "store_upto(d_hidden + 2 * H, d.n, count);",
        "default",
    ),
    "digits lost where z is near 1": ("gates.h", "(h - s.n) * s.z * one_minus_z", "(h - s.n) * (s.z - s.z * s.z)", "default"),
    "wrong slope of tanh": ("gates.h", "(1 - s.n * s.n)", "(1 - s.n)", "default"),
    "NaN lost": ("activations.h", "above > h ? h : above", "above < h ? above : h", "default"),
}
