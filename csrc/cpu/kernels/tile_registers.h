// The eight registers of AMX, each 16 rows of 16 elements of 32 bits, and what they do with pairs of bfloat16. Where there are
// no intrinsics they are an array, so that tests run what is made of them on any machine.
#pragma once

constexpr int kRegisterRows = 16, kRegisterPairs = 16, kRegisterTerms = 2 * kRegisterPairs;
// A row of pairs; registers in memory are kRegisterRows of them.
using PairRow = VecF::RawBits;

// All registers are taken until release(), which is no destructor: what unwinds refers to a symbol that objects share.
class TileRegisters {
 public:
#if GRU_EXT_INTRINSICS == 512
  GRU_EXT_FN TileRegisters() {
    // The instruction's operand: every register has all its rows, of 64 bytes.
    struct alignas(64) {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } config;
    asm volatile("ldtilecfg %0" : : "m"(config));
  }
  GRU_EXT_FN void release() { asm volatile("tilerelease"); }
  TileRegisters(const TileRegisters&) = delete;
  TileRegisters& operator=(const TileRegisters&) = delete;

  template <int t>
  GRU_EXT_FN void zero() {
    asm volatile("tilezero %%tmm%c0" : : "i"(t));
  }
  // Rows so many bytes apart.
  template <int t>
  GRU_EXT_FN void load(const void* p, int64_t row_bytes) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(p), "r"(row_bytes), "i"(t) : "memory");
  }
  template <int t>
  GRU_EXT_FN void store(void* p, int64_t row_bytes) const {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(p), "r"(row_bytes), "i"(t) : "memory");
  }
  // c[m][n] += the products of a[m][k] and b[k][n], both of each pair, over k. Rounds to nearest; subnormal numbers are zeros.
  template <int c, int a, int b>
  GRU_EXT_FN void add_products() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(c), "i"(a), "i"(b));
  }
#else
  void release() {}

  template <int t>
  void zero() {
    for (PairRow& row : registers_[t]) row = PairRow{};
  }
  template <int t>
  void load(const void* p, int64_t row_bytes) {
    for (PairRow& row : registers_[t]) {
      __builtin_memcpy(&row, p, sizeof row);
      p = static_cast<const char*>(p) + row_bytes;
    }
  }
  template <int t>
  void store(void* p, int64_t row_bytes) const {
    for (const PairRow& row : registers_[t]) {
      __builtin_memcpy(p, &row, sizeof row);
      p = static_cast<char*>(p) + row_bytes;
    }
  }
  template <int c, int a, int b>
  void add_products() {
    for (int m = 0; m < kRegisterRows; ++m) {
      VecF sum = VecF::from_bits(registers_[c][m]);
      for (int k = 0; k < kRegisterPairs; ++k) sum = dot(sum, registers_[a][m][k] - PairRow{}, registers_[b][k]);
      registers_[c][m] = sum.bits();
    }
  }

 private:
  PairRow registers_[8][kRegisterRows];
#endif
};

// Two registers by two at the most: products of `A` registers of rows and `B` of columns, in registers 0 to 3; one step of the
// contraction. The second of either lies so many bytes behind the first.
template <int A, int B>
GRU_EXT_FN void multiply_registers(TileRegisters& r, const void* a, int64_t a_row_bytes, int64_t a_next, const void* b,
                                   int64_t b_row_bytes, int64_t b_next) {
  r.load<4>(a, a_row_bytes);
  r.load<6>(b, b_row_bytes);
  r.add_products<0, 4, 6>();
  if constexpr (B == 2) {
    r.load<7>(static_cast<const char*>(b) + b_next, b_row_bytes);
    r.add_products<1, 4, 7>();
  }
  if constexpr (A == 2) {
    r.load<5>(static_cast<const char*>(a) + a_next, a_row_bytes);
    r.add_products<2, 5, 6>();
    if constexpr (B == 2) r.add_products<3, 5, 7>();
  }
}

// Calls f(t, a, b) for each register t of those sums: of the rows of register a and the columns of b.
template <int A, int B, class F>
GRU_EXT_FN void for_sums(const F& f) {
  f(Rows<0>{}, 0, 0);
  if constexpr (B == 2) f(Rows<1>{}, 0, 1);
  if constexpr (A == 2) f(Rows<2>{}, 1, 0);
  if constexpr (A == 2 && B == 2) f(Rows<3>{}, 1, 1);
}

// Steps of a contraction of K terms.
GRU_EXT_FN int64_t register_steps(int64_t K) { return (K + kRegisterTerms - 1) / kRegisterTerms; }

// Calls f(A, B) with the numbers of registers, 1 or 2, that so many rows and columns take.
template <class F>
GRU_EXT_FN void with_registers(int64_t rows, int64_t columns, const F& f) {
  if (rows > kRegisterRows)
    columns > kRegisterPairs ? f(Rows<2>{}, Rows<2>{}) : f(Rows<2>{}, Rows<1>{});
  else
    columns > kRegisterPairs ? f(Rows<1>{}, Rows<2>{}) : f(Rows<1>{}, Rows<1>{});
}
