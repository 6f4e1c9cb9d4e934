// What the CPU kernels offer, the same for every instruction set: plain pointers in, plain pointers out, no torch.
//
// N batch, I input_size, H hidden_size; rightmost dimension contiguous; gates in torch's order r, z, n. T is the type in
// memory, Compute<T> the type of the arithmetic: float for the 16-bit types.
#pragma once

#include <cstdint>

namespace gru_ext::cpu {

struct BFloat16 {
  uint16_t bits;
};
struct Half {
  uint16_t bits;
};

template <class T>
struct ComputeType {
  using type = float;
};
template <>
struct ComputeType<double> {
  using type = double;
};
template <class T>
using Compute = typename ComputeType<T>::type;

template <class T>
struct ForwardArgs {
  const T* x;     // [N, I], rows x_row apart
  const T* h;     // [N, H], rows h_row apart
  const T* w_ih;  // [3H, I]
  const T* w_hh;  // [3H, H]
  const T* b_ih;  // [3H] or null
  const T* b_hh;  // [3H] or null
  T* hy;          // [N, H]
  T* saved;       // [N, 4H] = r | z | n | q, or null
  int64_t N, I, H;
  int64_t x_row, h_row;
  bool from_end;  // the last units come first (turns.h); the numbers are the same

  // Rows [begin, end) of the batch.
  ForwardArgs rows(int64_t begin, int64_t end) const {
    ForwardArgs part = *this;
    part.x += begin * x_row;
    part.h += begin * h_row;
    part.hy += begin * H;
    if (saved) part.saved += begin * 4 * H;
    part.N = end - begin;
    return part;
  }
};

// Rows whose gradients of gates are summed up by themselves, for the gradients of the biases: adding such sums keeps the
// rounding error of a long batch near that of a pairwise sum, and threads that have rows each need not wait for one another.
constexpr int64_t kSummedRows = 16;

template <class T>
struct GatesBackwardArgs {
  const T* grad;               // [N, H], the gradient of hy
  const T* saved;              // [N, 4H] = r | z | n | q
  const T* h;                  // [N, H], rows h_row apart
  Compute<T>* d_input_gates;   // [N, 3H], the gradient of W_ih x + b_ih
  Compute<T>* d_hidden_gates;  // [N, 3H], the gradient of W_hh h + b_hh
  Compute<T>* d_h;             // [N, H], the part of the gradient of h that does not pass through W_hh; or null
  Compute<T>* sums;            // [ceil(N / kSummedRows), 4H], of the gradients of r | z | n | q; or null
  Compute<T>* d_b_ih;          // [3H] or null
  Compute<T>* d_b_hh;          // [3H] or null
  int64_t N, H;
  int64_t h_row;
  bool accumulate;  // the bias gradients are added to
};

// C = A B, C += A B, or C = A B + addend. A is the gradient of gates, so of the compute type; B is a weight or an input.
template <class T>
struct MatmulArgs {
  const Compute<T>* a;  // A[m][k] at a[m * a_row + k * a_col], where a_row or a_col is 1
  int64_t a_row, a_col;
  const T* b;  // [K, J], rows b_row apart
  int64_t b_row;
  Compute<T>* c;  // [M, J], rows c_row apart
  int64_t c_row;
  int64_t M, J, K;
  bool accumulate;
  // As C lies, or null. Added last: where it is larger than the terms of the sum, their roundings are not made at its size.
  const Compute<T>* addend;

  // Rows [begin, end), for a C that begins with them.
  MatmulArgs rows(int64_t begin, int64_t end) const {
    MatmulArgs part = *this;
    part.a += begin * a_row;
    if (addend) part.addend += begin * c_row;
    part.M = end - begin;
    return part;
  }

  // Terms [begin, end) of the contraction alone.
  MatmulArgs terms(int64_t begin, int64_t end) const {
    MatmulArgs part = *this;
    part.a += begin * a_col;
    part.b += begin * b_row;
    part.K = end - begin;
    part.addend = nullptr;
    return part;
  }

  // Columns [begin, end) of C.
  MatmulArgs columns(int64_t begin, int64_t end) const {
    MatmulArgs part = *this;
    part.b += begin;
    part.c += begin;
    if (addend) part.addend += begin;
    part.J = end - begin;
    return part;
  }
};

// Each kernel works on a part of its output, [begin, end), that the caller may give to one of several threads. The numbers do
// not depend on how the output is divided, nor, in the forward step, those of a row of the batch on the other rows.
template <class T>
struct CellKernels {
  // Units of the state [begin, end); forward_scratch(N, I, H) numbers of scratch.
  void (*forward)(const ForwardArgs<T>&, int64_t begin, int64_t end, Compute<T>* scratch);
  int64_t (*forward_scratch)(int64_t N, int64_t I, int64_t H);

  // Rows of the batch [begin, end), where begin is a multiple of kSummedRows, and end as well or N.
  void (*gates_backward)(const GatesBackwardArgs<T>&, int64_t begin, int64_t end);
  // The bias gradients of units [begin, end), of the sums of all rows.
  void (*bias_gradients)(const GatesBackwardArgs<T>&, int64_t begin, int64_t end);

  // Rows of C, [begin, end); matmul_scratch(args) numbers of scratch.
  void (*matmul)(const MatmulArgs<T>&, int64_t begin, int64_t end, Compute<T>* scratch);
  int64_t (*matmul_scratch)(const MatmulArgs<T>&);

  // to[i] = from[i], rounded to T, for i < count.
  void (*round)(const Compute<T>* from, int64_t count, T* to);
  // to[i] += from[i] for i < count.
  void (*add)(const Compute<T>* from, int64_t count, Compute<T>* to);
};

struct Kernels {
  const char* level;
  CellKernels<float> f32;
  CellKernels<double> f64;
  CellKernels<BFloat16> bf16;
  CellKernels<Half> f16;
};

// A level that multiplies pairs of bfloat16 differs in them from the level below it.
struct Bf16Dots {
  const char* level;
  CellKernels<BFloat16> bf16;

  Kernels with(const Kernels& below) const { return {level, below.f32, below.f64, bf16, below.f16}; }
};

extern const Kernels kernels_default;
extern const Kernels kernels_avx2;  // this and the following: x86-64 only
extern const Kernels kernels_avx512;
extern const Bf16Dots kernels_avx512_vnni_bf16;

// Only Linux is asked for AMX, and the assemblers that come with older compilers do not know it.
#if defined(__x86_64__) && defined(__linux__) && (defined(__clang__) || __GNUC__ >= 11)
#define GRU_EXT_HAS_TILES 1
extern const Bf16Dots kernels_amx_bf16;
#endif

}  // namespace gru_ext::cpu
