"""Mistakes that tests/test_cuda_on_cpu.py plants in a copy of csrc/cuda/kernels, to see that its checks find each."""

WRONG = r"(?m)^FAILED"
# An access where nothing is, or a write where it is looked for: a wrong number may come first.
OUTSIDE = r"(?m)^FAILED|stopped while checking|wrote (before the beginning|past the end) of device memory"
MISALIGNED = r"access of 16 bytes at 0x\w+, which is not a multiple of that"
HALF_A_BARRIER = r"a barrier that part of the block never reaches|deadlock"
OVERFLOW = r"heap-buffer-overflow"
RACE = r"ThreadSanitizer: data race"

FORWARD = ("gates_forward.cu", "gates_forward")
BACKWARD = ("gates_backward.cu", "gates_backward")
SMALL = ("small_batch_forward.cu", "small_batch_forward")
WEIGHTS = ("small_batch_weights.cu", "small_batch_weights")

# name: ((file, kernel whose source is compiled with it), text, what it becomes, variant of the build, what the output then has)
FAULTS = {
    "none": (FORWARD, "", "", "plain", ""),
    "none, address": (WEIGHTS, "", "", "address", ""),
    "none, thread": (BACKWARD, "", "", "thread", ""),
    # Offsets and rows
    "offset of a gate": (FORWARD, "i_z = load<V>(input + H)", "i_z = load<V>(input + 2 * H)", "plain", WRONG),
    "bias of n outside of r, that of q inside": (
        FORWARD,
        "i_n[i] + bias.n(i), h_n[i] + bias.q(i)",
        "i_n[i] + bias.q(i), h_n[i] + bias.n(i)",
        "plain",
        WRONG,
    ),
    "distance between rows of h": (FORWARD, "p.h + n * p.h_row + j", "p.h + n * H + j", "plain", OUTSIDE),
    "distance between rows of x": (WEIGHTS, "side.in + n * side.row + k", "side.in + n * side.K + k", "plain", OUTSIDE),
    "gradient of n for that of q": (BACKWARD, "store(d_hidden + 2 * H, d_q)", "store(d_hidden + 2 * H, d_n)", "plain", WRONG),
    "gate of a bias gradient": (BACKWARD, "(g < 2 ? g : 2) * p.H", "g * p.H", "plain", OUTSIDE),
    "blocks of x and of h": (WEIGHTS, "blockIdx.x - (hidden ? p.x_blocks : 0)", "blockIdx.x", "plain", WRONG),
    # What is never written
    "n not saved": (("gates.cuh", "gates_forward"), "    store(p + 2 * H, n);\n", "", "plain", WRONG),
    "last slab of sums": (BACKWARD, "slab < p.slabs;", "slab < p.slabs - 1;", "plain", WRONG),
    # Bounds
    "column guard, forward": (FORWARD, "if (j >= H) return;", "", "plain", OUTSIDE),
    "column guard, forward, address": (FORWARD, "if (j >= H) return;", "", "address", OVERFLOW),
    "row guard, forward": (FORWARD, "n < p.N; n +=", "n <= p.N; n +=", "address", OVERFLOW),
    "column guard of the sums": (BACKWARD, "if (j >= p.H) continue;", "", "plain", OUTSIDE),
    "unit guard": (SMALL, "j_of_block >= units || j >= H || n >= N", "j_of_block >= units || n >= N", "plain", OUTSIDE),
    "row guard of the gates": (
        SMALL,
        "j_of_block >= units || j >= H || n >= N",
        "j_of_block >= units || j >= H",
        "plain",
        OUTSIDE,
    ),
    "row guard of a read": (SMALL, "if (n >= N) break;", "", "address", OVERFLOW),
    "column guard, weights": (WEIGHTS, "if (k >= K) return;", "", "plain", OUTSIDE),
    "row guard, weights": (WEIGHTS, "if (row >= 3 * H) return;", "", "plain", OUTSIDE),
    "row guard of x, weights": (WEIGHTS, "if (n < N) in[n]", "in[n]", "address", OVERFLOW),
    "gradient that nobody asked for": (WEIGHTS, "p.d_w_hh == nullptr ? 0 : p.H", "p.H", "plain", OUTSIDE),
    "bias that is not there": (("pack.cuh", "gates_forward"), "if (array != nullptr) return", "return", "plain", OUTSIDE),
    # Alignment
    "alignment of what is saved": (FORWARD, "p.hy, p.saved}", "p.hy}", "plain", MISALIGNED),
    "alignment of the rows of h": (FORWARD, "{p.H, p.h_row});", "{p.H});", "plain", MISALIGNED),
    "alignment of the gradient of h": (BACKWARD, "p.d_hidden_gates, p.d_h}", "p.d_hidden_gates}", "plain", MISALIGNED),
    "alignment of a weight": (SMALL, "fits_packs<T>({p.x, p.w_ih}", "fits_packs<T>({p.x}", "plain", MISALIGNED),
    "alignment of the gradient of a weight": (WEIGHTS, "({p.h, p.d_w_hh}", "({p.h}", "plain", MISALIGNED),
    # Sums
    "rows of a thread not added": (BACKWARD, "sums[3][i] += d.q.value", "sums[3][i] = d.q.value", "plain", WRONG),
    "rows of a block not added": (
        BACKWARD,
        "for (int y = 0; y < down; ++y) total",
        "for (int y = 1; y < down; ++y) total",
        "plain",
        WRONG,
    ),
    "place of a slab": (BACKWARD, "(blockIdx.y * kGates + g) * p.H + j", "(blockIdx.y * 3 + g) * p.H + j", "plain", WRONG),
    "slabs not dealt out evenly": (BACKWARD, "slab += kSlabRows", "slab += kSlabRows + 1", "plain", WRONG),
    "sums of slabs not added": (BACKWARD, "for (int y = 1; y < kSlabRows", "for (int y = 2; y < kSlabRows", "plain", WRONG),
    "height of the grid and number of slabs": (BACKWARD, "  g.grid.y = static_cast<unsigned>(slabs);\n", "", "plain", OUTSIDE),
    "last split of a unit": (SMALL, "split < p.splits; ++split", "split < p.splits - 1; ++split", "plain", WRONG),
    "products dealt out twice": (SMALL, "stride = p.splits * kLanes", "stride = kLanes", "plain", WRONG),
    # Warps
    "shuffle begins too low": (SMALL, "int lanes = kLanes / 2;", "int lanes = kLanes / 4;", "plain", WRONG),
    "mask of half a warp": (SMALL, "0xffffffff, v, lanes", "0x0000ffff, v, lanes", "plain", r"which mask 0000ffff leaves out"),
    "shuffle in a branch": (
        SMALL,
        "const S sum = warp_sum(sums[g][n]);",
        "if (lane > 20) continue;\n        const S sum = warp_sum(sums[g][n]);",
        "plain",
        r"deadlock|which a shuffle expects, has ended",
    ),
    "sum that is not stored": (SMALL, "if (lane == 0) of_warp", "if (lane == 0 && n > 0) of_warp", "plain", WRONG),
    # Barriers
    "no barrier before the gates": (SMALL, "  __syncthreads();\n\n  // One", "\n  // One", "plain", WRONG),
    "no barrier before the gates, thread": (SMALL, "  __syncthreads();\n\n  // One", "\n  // One", "thread", RACE),
    "no barrier before the sums of a block": (BACKWARD, "  __syncthreads();\n  for", "  for", "plain", WRONG),
    "no barrier before the sums of a block, thread": (BACKWARD, "  __syncthreads();\n  for", "  for", "thread", RACE),
    "no barrier before the sums of slabs": (BACKWARD, "  __syncthreads();\n  if", "  if", "plain", WRONG),
    "no barrier before the sums of slabs, thread": (BACKWARD, "  __syncthreads();\n  if", "  if", "thread", RACE),
    "barrier in a branch": (SMALL, "  }\n  __syncthreads();\n\n", "    __syncthreads();\n  }\n\n", "plain", HALF_A_BARRIER),
    "barrier of the threads with a column": (
        BACKWARD,
        "const int64_t N = j < H ? p.N : 0;",
        "const int64_t N = p.N;\n  if (j >= H) return;",
        "plain",
        HALF_A_BARRIER,
    ),
    "barrier of the threads with a sum": (
        BACKWARD,
        "  __syncthreads();\n  for",
        "  if (thread < kGates * V * across) __syncthreads();\n  for",
        "plain",
        HALF_A_BARRIER,
    ),
    # Launches
    "another stream": (FORWARD, "g.grid, g.block, p, stream)", "g.grid, g.block, p, nullptr)", "plain", WRONG),
    "empty grid": (
        ("elementwise.cuh", "gates_backward"),
        "std::max<int64_t>(blocks_down, 1)",
        "blocks_down",
        "plain",
        r"(?m)^FAILED: gates_backward.*cudaErrorInvalidConfiguration",
    ),
}
