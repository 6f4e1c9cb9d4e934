// Packs of numbers that one thread reads or writes at once: 16 bytes, the widest access there is, or a single number where
// addresses or sizes do not allow that.
#pragma once

#include <cuda_runtime.h>

#include <cstring>
#include <initializer_list>

#include "cuda/kernels/number.cuh"

namespace gru_ext::cuda {

constexpr int kPackBytes = 16;

// Numbers in a whole pack.
template <class T>
constexpr int kPack = kPackBytes / sizeof(T);

template <class T, int V>
struct Pack {
  T v[V];

  __device__ __forceinline__ Number<T> operator[](int i) const { return {widen(v[i])}; }
  __device__ __forceinline__ void set(int i, Number<T> x) { v[i] = narrow<T>(x.value); }
};

// Of memory that no one writes while the kernel runs, which lets the compiler move it above the stores.
template <int V, class T>
__device__ __forceinline__ Pack<T, V> load(const T* p) {
  Pack<T, V> pack;
  if constexpr (V == 1) {
    pack.v[0] = __ldg(p);
  } else {
    static_assert(sizeof(pack) == kPackBytes);
    const uint4 raw = __ldg(reinterpret_cast<const uint4*>(p));
    memcpy(&pack, &raw, kPackBytes);
  }
  return pack;
}

// The pack at p, or zeros where there is no array.
template <int V, class T>
__device__ __forceinline__ Pack<T, V> load_or_zero(const T* array, int64_t offset) {
  if (array != nullptr) return load<V>(array + offset);
  Pack<T, V> zero;
#pragma unroll
  for (int i = 0; i < V; ++i) zero.v[i] = narrow<T>(0);
  return zero;
}

template <int V, class T>
__device__ __forceinline__ void store(T* p, const Pack<T, V>& pack) {
  if constexpr (V == 1) {
    *p = pack.v[0];
  } else {
    // An assignment of the pack is taken apart by the compiler into stores of single numbers; this is not.
    uint4 raw;
    memcpy(&raw, &pack, kPackBytes);
    __stcg(reinterpret_cast<uint4*>(p), raw);
  }
}

// Whether whole packs can be used at these addresses, and at rows of these lengths from them. A null pointer stands in no way.
template <class T>
bool fits_packs(std::initializer_list<const void*> pointers, std::initializer_list<int64_t> lengths) {
  for (const void* p : pointers)
    if (reinterpret_cast<uintptr_t>(p) % kPackBytes != 0) return false;
  for (const int64_t length : lengths)
    if (length % kPack<T> != 0) return false;
  return true;
}

}  // namespace gru_ext::cuda
