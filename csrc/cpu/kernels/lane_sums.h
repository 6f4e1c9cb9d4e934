// Sums over the lanes of several vectors at once, to the lanes of one. Each is taken in the same order, whatever the other
// vectors hold: within 16 bytes, within which shuffles are cheap, and then over the groups of 16 bytes by halves.
#pragma once

// Lane i of the result is lane At::lane(i) of a, or lane At::lane(i) - kLanes of b.
template <class At, class S>
GRU_EXT_FN Vec<S> pick(Vec<S> a, Vec<S> b) {
  constexpr int n = Vec<S>::kLanes;
#if defined(__clang__)
  // Its word for it wants every lane as a constant; lane by lane it takes minutes over the kernels.
  constexpr auto at = [](int i) { return At::lane(i); };
  if constexpr (n == 2) {
    return {__builtin_shufflevector(a.v, b.v, at(0), at(1))};
  } else if constexpr (n == 4) {
    return {__builtin_shufflevector(a.v, b.v, at(0), at(1), at(2), at(3))};
  } else if constexpr (n == 8) {
    return {__builtin_shufflevector(a.v, b.v, at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7))};
  } else {
    return {__builtin_shufflevector(a.v, b.v, at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7), at(8), at(9), at(10),
                                    at(11), at(12), at(13), at(14), at(15))};
  }
#else
  typename Vec<S>::RawBits from;
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) from[i] = At::lane(i);
  return {__builtin_shuffle(a.v, b.v, from)};
#endif
}

// In each block of so many lanes, of n in all: a's lower half and b's upper half where they lie; a's upper half and b's lower
// half, each in the other's place.
template <int block, int n>
struct HalvesInPlace {
  GRU_EXT_FN static constexpr int lane(int i) { return i % block < block / 2 ? i : n + i; }
};
template <int block, int n>
struct OtherHalves {
  GRU_EXT_FN static constexpr int lane(int i) { return i % block < block / 2 ? i + block / 2 : n + i - block / 2; }
};
// Every other lane of a from `first` on, then of b.
template <int block, int n, int first>
struct EveryOther {
  GRU_EXT_FN static constexpr int lane(int i) {
    return i / block * block + i % (block / 2) * 2 + first + (i % block < block / 2 ? 0 : n);
  }
};

// In each block of so many bytes: the sum of both halves of a, then that of both halves of b. Only one of the operands
// takes a shuffle, the other a blend.
template <int bytes, class S>
GRU_EXT_FN Vec<S> sums_of_halves(Vec<S> a, Vec<S> b) {
  constexpr int n = Vec<S>::kLanes, block = bytes / sizeof(S);
  return pick<HalvesInPlace<block, n>>(a, b) + pick<OtherHalves<block, n>>(a, b);
}

// In each 16 bytes: the sums of neighbours of a, then those of b.
template <class S>
GRU_EXT_FN Vec<S> sums_of_neighbours(Vec<S> a, Vec<S> b) {
  constexpr int n = Vec<S>::kLanes, block = 16 / sizeof(S);
  return pick<EveryOther<block, n, 0>>(a, b) + pick<EveryOther<block, n, 1>>(a, b);
}

// In each 16 bytes: the sums of those of as many vectors as lie in 16 bytes.
GRU_EXT_FN VecF sums_within_blocks(const VecF* v) {
  return sums_of_neighbours(sums_of_halves<16>(v[0], v[1]), sums_of_halves<16>(v[2], v[3]));
}
GRU_EXT_FN VecD sums_within_blocks(const VecD* v) { return sums_of_halves<16>(v[0], v[1]); }

// Lane i of the result is the sum of the lanes of v[i].
template <class S>
GRU_EXT_FN Vec<S> sums_of_lanes(const Vec<S> (&v)[Vec<S>::kLanes]) {
  constexpr int blocks = GRU_EXT_VEC_BYTES / 16, per_block = 16 / sizeof(S);
  Vec<S> sums[blocks];
#pragma GCC unroll 4
  for (int i = 0; i < blocks; ++i) sums[i] = sums_within_blocks(v + i * per_block);
  if constexpr (blocks == 4)
    return sums_of_halves<32>(sums_of_halves<64>(sums[0], sums[2]), sums_of_halves<64>(sums[1], sums[3]));
  else if constexpr (blocks == 2)
    return sums_of_halves<32>(sums[0], sums[1]);
  else
    return sums[0];
}

// The lane that is the i-th of a vector in the order in which sums_of_lanes adds them, up to 32 bytes: each to its neighbour,
// then each such sum to the next, and so on.
template <class S>
GRU_EXT_FN constexpr int lane_in_order(int i) {
  static_assert(sizeof(Vec<S>) <= 32);
  // Of four floats halves are added first.
  return sizeof(S) == 8 ? i : i / 4 * 4 + i % 2 * 2 + i % 4 / 2;
}
