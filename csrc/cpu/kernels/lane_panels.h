// Panels of lanes: rows of x, h or the weights side by side, for matrix products that give the sums of dots.h. There, number k
// of a row is in lane k % kLanes of a vector, step k / kLanes; here, the numbers of a lane follow one another, step by step.
#pragma once

// Number s * kLanes + l of row r is at[l * lane + s * width + r].
template <class S>
struct LanePanel {
  S* at;
  int64_t width;  // rows; from a step to the next
  int64_t lane;   // from a lane to the next

  // The lanes are a line of a cache apart from whole pages, which would share a few lines of the first-level cache.
  LanePanel(S* memory, int64_t width, int64_t steps) : at(memory), width(width), lane(steps * width + 64 / sizeof(S)) {}

  int64_t size() const { return Vec<S>::kLanes * lane; }

  // The panel that lies so many panels of this size behind this one.
  LanePanel after(int64_t panels) const {
    LanePanel other = *this;
    other.at += panels * size();
    return other;
  }
};

// Lane i of a where bit `bit` of i is not set, else lane i - bit of b.
template <int bit, int n>
struct WithLowerOf {
  GRU_EXT_FN static constexpr int lane(int i) { return i & bit ? n + i - bit : i; }
};
// Lane i of b where bit `bit` of i is set, else lane i + bit of a.
template <int bit, int n>
struct WithUpperOf {
  GRU_EXT_FN static constexpr int lane(int i) { return i & bit ? n + i : i + bit; }
};

// Lane i of v[j] for lane j of v[i], as far as bit `bit` of i and j goes, and all smaller ones.
template <int bit, class S>
GRU_EXT_FN void transpose(Vec<S> (&v)[Vec<S>::kLanes]) {
  constexpr int n = Vec<S>::kLanes;
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) {
    if (i & bit) continue;
    const Vec<S> a = v[i], b = v[i + bit];
    v[i] = pick<WithLowerOf<bit, n>>(a, b);
    v[i + bit] = pick<WithUpperOf<bit, n>>(a, b);
  }
  if constexpr (bit > 1) transpose<bit / 2>(v);
}

// K columns of `count` rows, `row` apart, to rows [first, first + kLanes) of the panel from step s on; zero where there are no
// more rows or columns.
template <class T>
void copy_to_panel(const T* from, int64_t row, int64_t count, int64_t K, const LanePanel<Compute<T>>& panel, int64_t s,
                   int64_t first) {
  using S = Compute<T>;
  constexpr int n = Vec<S>::kLanes, line = 64 / sizeof(T);
  S* to = panel.at + s * panel.width + first;
  for (int64_t k = 0; k < K; k += n, to += panel.width) {
    Vec<S> v[n];
    if (count >= n && k + n <= K) {
      // The rows that will mostly be copied next come from far meanwhile.
      if (k % line == 0)
#pragma GCC unroll 16
        for (int i = 0; i < n; ++i) ask_for(from + (n + i) * row + k);
#pragma GCC unroll 16
      for (int i = 0; i < n; ++i) v[i] = load(from + i * row + k);
    } else {
      for (int i = 0; i < n; ++i) v[i] = i < count ? load_upto(from + i * row + k, K - k) : Vec<S>::zero();
    }
    transpose<n / 2>(v);
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) store(to + i * panel.lane, v[i]);
  }
}
