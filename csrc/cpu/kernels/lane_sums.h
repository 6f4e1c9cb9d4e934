// Sums over the lanes of several vectors at once, to the lanes of one. Each is taken in the same order, whatever the other
// vectors hold: within 16 bytes, within which shuffles are cheap, and then over the groups of 16 bytes by halves.
#pragma once

// Lane i of the result is lane at(i) of a, or lane at(i) - kLanes of b.
template <class S, class At>
GRU_EXT_FN Vec<S> pick(Vec<S> a, Vec<S> b, At at) {
  constexpr int n = Vec<S>::kLanes;
#if defined(__clang__)
  typename Vec<S>::Raw result;
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) result[i] = at(i) < n ? a.v[at(i)] : b.v[at(i) - n];
  return {result};
#else
  typename Vec<S>::RawBits from;
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) from[i] = at(i);
  return {__builtin_shuffle(a.v, b.v, from)};
#endif
}

// In each block of so many bytes: the sum of both halves of a, then that of both halves of b. Only one of the operands
// takes a shuffle, the other a blend.
template <int bytes, class S>
GRU_EXT_FN Vec<S> sums_of_halves(Vec<S> a, Vec<S> b) {
  constexpr int n = Vec<S>::kLanes, half = bytes / 2 / sizeof(S);
  const Vec<S> in_place = pick(a, b, [](int i) { return i / half % 2 == 0 ? i : n + i; });
  return in_place + pick(a, b, [](int i) { return i / half % 2 == 0 ? i + half : n + i - half; });
}

// In each 16 bytes: the sums of neighbours of a, then those of b.
template <class S>
GRU_EXT_FN Vec<S> sums_of_neighbours(Vec<S> a, Vec<S> b) {
  constexpr int n = Vec<S>::kLanes, block = 16 / sizeof(S);
  const auto lane = [](int i) { return i / block * block + i % (block / 2) * 2 + (i % block < block / 2 ? 0 : n); };
  return pick(a, b, [&](int i) { return lane(i); }) + pick(a, b, [&](int i) { return lane(i) + 1; });
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
