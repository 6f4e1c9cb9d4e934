// The forward step of many rows with large weights, where vectors are narrow: a matrix product of panels for each lane of
// dots.h. A vector runs along the units; a tile then reads half of what one of dots.h does, and what it reads of one lane stays
// in the first-level cache. Lanes are added up in the order of sums_of_lanes, so the bits are those of forward.h.
#pragma once

// Units whose weights are packed at a time: three vectors, as in matmul.h.
template <class S>
constexpr int kPanelUnits = 3 * Vec<S>::kLanes;

template <class S>
struct PanelSums : BlockSums<S, kPanelUnits<S>> {};

// The sums of `rows` rows with V vectors of units, over steps [begin, end) of both panels; those of x follow each other.
template <int V, class S, int units>
void multiply_panels(const LanePanel<S>& x, int64_t rows, const LanePanel<S>& w, int64_t begin, int64_t end,
                     GateSums<S, units>& sums) {
  constexpr int n = Vec<S>::kLanes, tile_rows = 4;
  static_assert(n % tile_rows == 0 && kGatedRows % n == 0);
  // What waits for the lanes that it is added to: place 0 is the result's.
  GateSums<S, units> waiting[2];
  static_assert(n <= 8, "three places are enough for eight lanes");
  for (int i = 0; i < n; ++i) {
    const int lane = lane_in_order<S>(i);
    for (int64_t m = 0; m < rows; m += tile_rows) {
      const ColumnsInPlace<S> a = {x.at + m / n * x.size() + lane * x.lane + begin * n + m % n, n};
      Vec<S> acc[tile_rows][V] = {};
      multiply_tile(end - begin, a, w.at + lane * w.lane + begin * w.width, w.width, AllColumns{}, acc);
      int place = __builtin_popcount(i);
      const auto each = [&](const auto& f) __attribute__((always_inline)) {
#pragma GCC unroll 4
        for (int r = 0; r < tile_rows; ++r)
#pragma GCC unroll 4
          for (int v = 0; v < V; ++v) f((place == 0 ? sums : waiting[place - 1])[m + r] + v * n, acc[r][v]);
      };
      // As in counting: where adding 1 to i clears bits, as many sums are at hand to be added.
      for (int bits = i; bits & 1; bits >>= 1) {
        --place;
        each([](const S* at, Vec<S>& sum) __attribute__((always_inline)) { sum = load(at) + sum; });
      }
      each([](S* at, Vec<S>& sum) __attribute__((always_inline)) { store(at, sum); });
    }
  }
}

// Where the copies of a strip lie, and its sums.
template <class T>
struct PanelMemory {
  using S = Compute<T>;
  static constexpr int n = Vec<S>::kLanes;

  static int64_t steps(int64_t K) { return (K + n - 1) / n; }
  static int64_t blocks(int64_t N) { return (N + kGatedRows - 1) / kGatedRows; }

  int64_t rows;  // of a strip, a multiple of n
  int64_t x_size, w_size, sums_size;

  PanelMemory(int64_t N, int64_t I, int64_t H)
      : rows(steps((N + strips(N) - 1) / strips(N)) * n),
        x_size(rows / n * LanePanel<S>(nullptr, n, steps(I) + steps(H)).size()),
        w_size(LanePanel<S>(nullptr, kPanelUnits<S>, steps(I) + steps(H)).size()),
        sums_size(blocks(rows) * static_cast<int64_t>(sizeof(PanelSums<S>) / sizeof(S))) {}

  int64_t size() const { return x_size + w_size + sums_size; }

 private:
  static int64_t strips(int64_t N) { return (N + kStripRows - 1) / kStripRows; }
};

// Units [j, j + units) of gate g, to V vectors of a panel.
template <class T>
void copy_weights(const ForwardArgs<T>& p, int g, int64_t j, int64_t units, const LanePanel<Compute<T>>& panel) {
  constexpr int n = Vec<Compute<T>>::kLanes;
  for (int64_t u = 0; u < panel.width; u += n) {
    const int64_t row = g * p.H + j + u;
    copy_to_panel(p.w_ih + row * p.I, p.I, units - u, p.I, panel, 0, u);
    copy_to_panel(p.w_hh + row * p.H, p.H, units - u, p.H, panel, PanelMemory<T>::steps(p.I), u);
  }
}

// V vectors of units from j on, of all rows of a strip.
template <int V, class T>
void forward_of_units(const ForwardArgs<T>& p, int64_t j, int64_t units, const LanePanel<Compute<T>>& x, Compute<T>* memory,
                      PanelSums<Compute<T>>* sums) {
  using S = Compute<T>;
  constexpr int n = Vec<S>::kLanes;
  using Memory = PanelMemory<T>;
  const int64_t of_x = Memory::steps(p.I), all = of_x + Memory::steps(p.H);
  const LanePanel<S> w(memory, V * n, all);
  const int64_t blocks = Memory::blocks(p.N), block = Memory::steps((p.N + blocks - 1) / blocks) * n;
  for (int g = 0; g < 3; ++g) {
    copy_weights(p, g, j, units, w);
    for (int64_t m = 0; m < p.N; m += block) {
      const ForwardArgs<T> rows = p.rows(m, m + block < p.N ? m + block : p.N);
      const LanePanel<S> rows_of_x = x.after(m / n);
      PanelSums<S>& s = sums[m / block];
      if (g < 2) {
        multiply_panels<V>(rows_of_x, rows.N, w, 0, all, s.r_z[g]);
      } else {
        multiply_panels<V>(rows_of_x, rows.N, w, 0, of_x, s.n_input);
        multiply_panels<V>(rows_of_x, rows.N, w, of_x, all, s.q);
        finish_block(rows, j, static_cast<int>(units), s);
      }
    }
  }
}

template <class T>
int64_t forward_panels_scratch(int64_t N, int64_t I, int64_t H) {
  return PanelMemory<T>(N, I, H).size();
}

// Units [begin, end) of all rows.
template <class T>
void forward_panels(const ForwardArgs<T>& p, int64_t begin, int64_t end, Compute<T>* scratch) {
  using S = Compute<T>;
  constexpr int n = Vec<S>::kLanes;
  using Memory = PanelMemory<T>;
  const Memory memory(p.N, p.I, p.H);
  const LanePanel<S> x(scratch, n, Memory::steps(p.I) + Memory::steps(p.H));
  S* const of_weights = scratch + memory.x_size;
  auto* const sums = reinterpret_cast<PanelSums<S>*>(of_weights + memory.w_size);
  for (int64_t m = 0; m < p.N; m += memory.rows) {
    const ForwardArgs<T> strip = p.rows(m, m + memory.rows < p.N ? m + memory.rows : p.N);
    for (int64_t i = 0; i < strip.N; i += n) {
      copy_to_panel(strip.x + i * p.x_row, p.x_row, strip.N - i, p.I, x.after(i / n), 0, 0);
      copy_to_panel(strip.h + i * p.h_row, p.h_row, strip.N - i, p.H, x.after(i / n), Memory::steps(p.I), 0);
    }
    for (int64_t j = begin; j < end;) {
      const int64_t vectors = Memory::steps(end - j);
      // As in matmul.h, a rest of four vectors becomes two panels of two.
      const auto units = [&](auto V) __attribute__((always_inline)) {
        const int64_t count = end - j < V.value * n ? end - j : V.value * n;
        forward_of_units<decltype(V)::value>(strip, j, count, x, of_weights, sums);
        j += count;
      };
      if (vectors <= 2 || vectors == 4)
        units(Rows<2>{});
      else
        units(Rows<3>{});
    }
  }
}
