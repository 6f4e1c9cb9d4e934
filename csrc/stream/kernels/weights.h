// A type of weights says how a row of activations is prepared for products with them, how a word of weights and a word of
// activations are multiplied and added to a sum, and how a sum becomes a number. float32:
#pragma once

// Sums that the registers hold beside the weights and an activation; 12 hide the latency of an addition.
#if GRU_EXT_VEC_BYTES == 64 || defined(__aarch64__)
constexpr int kRegisterSums = 24;
#else
constexpr int kRegisterSums = 12;
#endif

typedef uint32_t UnalignedWords __attribute__((vector_size(GRU_EXT_VEC_BYTES), aligned(4), may_alias));

// Of int8: what every sum with a row of activations lacks, and must be multiplied by after that.
struct RowScale {
  float scale;
  int32_t missing;
};

struct F32Weights {
  static constexpr int64_t kPerWord = 1;
  static constexpr int kSums = kRegisterSums;
  static constexpr int kParts = 1;  // products of a word that are made one after the other
  using Activation = float;         // of one word
  using Sum = VecF;
  using Factor = VecF;  // an activation in every lane
  using Weights = VecF;

  // To words(K) activations.
  GRU_EXT_FN static RowScale prepare(const float* a, int64_t K, Activation* to) {
    __builtin_memcpy(to, a, static_cast<uint64_t>(K) * sizeof(float));
    return {};
  }

  GRU_EXT_FN static Weights unpack(const uint32_t* w, int) {
    return VecF::from_bits(*reinterpret_cast<const UnalignedWords*>(w));
  }
  GRU_EXT_FN static Factor broadcast(const Activation* a, int) { return VecF::broadcast(*a); }
  GRU_EXT_FN static Sum add_product(Weights w, Factor a, Sum sum) { return fma(w, a, sum); }

  GRU_EXT_FN static Sum start() { return VecF::zero(); }
  GRU_EXT_FN static VecF finish(Sum sum, const float*, RowScale) { return sum; }
};
