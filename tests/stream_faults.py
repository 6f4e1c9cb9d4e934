"""Mistakes that tests/test_stream_proofs.py plants in a copy of csrc, to see that the stream's tests find each."""

# name: (file, text, what it becomes, level whose values are checked)
FAULTS = {
    "none": ("gates.h", "", "", "default"),
    "bias of another gate": (
        "pack.cpp",
        "to[2 * P + j] = bias(from.b_ih, 2 * H + j);",
        "to[2 * P + j] = bias(from.b_ih, H + j);",
        "default",
    ),
    "bias of n added outside of r": ("layer.h", "load(l.bias + 3 * P + j);", "load(l.bias + 2 * P + j);", "default"),
    "z for r": (
        "layer.h",
        "const VecF r = load(in + j), z = load(in + P + j)",
        "const VecF r = load(in + P + j), z = load(in + P + j)",
        "default",
    ),
    "h overwritten too early": (
        "layer.h",
        "s.activations, s.hidden);\n  update_states",
        "s.activations, h);\n  update_states",
        "avx2",
    ),
    "last words of a group": (
        "product.h",
        "w += a.row * group * VecF::kLanes;",
        "w += (a.row - 1) * group * VecF::kLanes;",
        "avx2",
    ),
    "rows after the last tile": (
        "product.h",
        "if (n < rows) product_group<W, 1",
        "if (n + 1 < rows) product_group<W, 1",
        "avx2",
    ),
    "vectors left over of a group": (
        "product.h",
        "product_group<W, R, 1>(m, a, n, w, group, j, done, to);",
        "(void)done;",
        "avx2",
    ),
    "odd K reads an old activation": ("weights_bf16.h", "to[(K - 1) / 2].number[1] = 0;", "", "avx2"),
    "rounding of bfloat16 downwards": ("pack.cpp", "(to_down < to_up ||", "(to_down <= 3 * to_up ||", "avx2"),
    "lower half not taken into account": ("pack.cpp", "dot_ ? 0 : word) << 16", "0) << 16", "avx2"),
    "lower half taken into account where it is not read": ("pack.cpp", "dot_ ? 0 : word) << 16", "word) << 16", "wide_dot"),
    "scale of int8 too small": ("pack.cpp", "scale_ = largest / 127;", "scale_ = largest / 128;", "avx2"),
    "activations in 15 bits": (
        "weights_int8.h",
        "fits < INT16_MAX ? fits : INT16_MAX",
        "fits < 16383 ? fits : 16383",
        "default",
    ),
    "sums of int8 that overflow": ("weights_int8.h", "INT32_MAX / (127 * K)", "INT32_MAX / (K)", "default"),
    "rest of a row not rounded": ("weights_int8.h", "(K - k + 3) / 4 * 4)", "(K - k) / 4 * 4)", "default"),
    "offset of the dot products": ("pack.cpp", "0u - (sum_ << 15)", "0u - (sum_ << 14)", "wide_dot"),
    "upper half of the activations": (
        "weights_int8.h",
        "(sum.upper) << 8)",
        "(sum.upper) << 7)",
        "wide_dot",
    ),
    "NaN lost by int8": ("weights_int8.h", "return largest - largest + largest / limit;", "return 1 / limit;", "default"),
    "second row of scales": ("product.h", "m.scale + (j + c) * lanes", "m.scale + c * lanes", "avx2"),
    "input of the layer above": ("step.cpp", "x = outputs_;", "", "default"),
    "sums of another step": ("step.cpp", "of_step.input += 3 * l.P", "of_step.input += 0", "default"),
    "scratch too small": ("packed.cpp", "s.hidden = part(3 * largest_P_", "s.hidden = part(largest_P_ / 8", "default"),
}
