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
    "weights of another gate": ("forward.h", "p.w_hh + (g * H + j) * H", "p.w_hh + (g * I + j) * H", "default"),
    "input part of n left out": ("forward.h", "load(n_input[n] + u) + bias.n", "bias.n", "default"),
    "a tile of rows begun anew": ("forward.h", "o.x + n * o.x_row, o.x_row, o.w_ih[g]", "o.x, o.x_row, o.w_ih[g]", "default"),
    "another order of sums for the last units": (
        "forward.h",
        "sums_of_four(alone, sum);\n        sums[r * row] = sum[0];",
        "sums[r * row] = 0;\n        for (int i = 0; i < Vec<S>::kLanes; ++i) sums[r * row] += acc[r][0].v[i];",
        "avx2",
    ),
    "widened rows in each other's place": ("forward.h", "free + kGatedRows * I", "free", "default"),
    "half of the lanes not added": ("vec.h", "unpack<2, true>(first, second)", "unpack<2, false>(first, second)", "default"),
    "transposed in another order": (
        "pack.h",
        "v[k + 1] = unpack<2, true>(even_low",
        "v[k + 1] = unpack<2, true>(even_high",
        "default",
    ),
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
    "addend with every block": ("matmul.h", "p.addend && k0 + K == p.K", "p.addend", "default"),
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
