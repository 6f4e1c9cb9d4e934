// A number in a kernel: a T as it is computed with, and what gates.h asks of it.
#pragma once

#include <cuda_runtime.h>

#include "cuda/kernels/kernels.h"

namespace gru_ext::cuda {

// Named after T, not after the type that it is computed in: a result that will be rounded to 16 bits is content with less exact
// functions than a float.
template <class T>
struct Number {
  Compute<T> value;
};

__device__ __forceinline__ float widen(float t) { return t; }
__device__ __forceinline__ double widen(double t) { return t; }
__device__ __forceinline__ float widen(__half t) { return __half2float(t); }
__device__ __forceinline__ float widen(__nv_bfloat16 t) { return __bfloat162float(t); }

template <class T>
__device__ __forceinline__ T narrow(Compute<T> value) {
  return value;
}
template <>
__device__ __forceinline__ __half narrow<__half>(float value) {
  return __float2half_rn(value);
}
template <>
__device__ __forceinline__ __nv_bfloat16 narrow<__nv_bfloat16>(float value) {
  return __float2bfloat16_rn(value);
}

template <class T>
__device__ __forceinline__ Number<T> operator+(Number<T> a, Number<T> b) {
  return {a.value + b.value};
}
template <class T>
__device__ __forceinline__ Number<T> operator-(Number<T> a, Number<T> b) {
  return {a.value - b.value};
}
template <class T>
__device__ __forceinline__ Number<T> operator-(int a, Number<T> b) {
  return {a - b.value};
}
template <class T>
__device__ __forceinline__ Number<T> operator*(Number<T> a, Number<T> b) {
  return {a.value * b.value};
}

// Where exp overflows, the quotient is 0, which is right.
__device__ __forceinline__ float sigmoid_of(float x) { return 1 / (1 + expf(-x)); }
__device__ __forceinline__ double sigmoid_of(double x) { return 1 / (1 + exp(-x)); }

template <class T>
__device__ __forceinline__ Number<T> sigmoid(Number<T> x) {
  // Both intrinsics are good to 2^-21 or so, of which a 16-bit result keeps 11 bits.
  if constexpr (sizeof(T) == 2)
    return {__fdividef(1, 1 + __expf(-x.value))};
  else
    return {sigmoid_of(x.value)};
}

// The quick formulas lose the digits of a small x by cancellation, whatever the dtype: this one has them.
__device__ __forceinline__ float tanh_of(float x) { return tanhf(x); }
__device__ __forceinline__ double tanh_of(double x) { return ::tanh(x); }

template <class T>
__device__ __forceinline__ Number<T> tanh(Number<T> x) {
  return {tanh_of(x.value)};
}

}  // namespace gru_ext::cuda
