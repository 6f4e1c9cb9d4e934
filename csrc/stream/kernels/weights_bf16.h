// bfloat16 weights, two in a word, the first in the lower half.
#pragma once

#if GRU_EXT_DOT
// The instruction wants activations in bfloat16 as well; it adds products to float32 sums.
struct Bf16Weights {
  static constexpr int64_t kPerWord = 2;
  static constexpr int kSums = kRegisterSums;
  static constexpr int kParts = 1;
  typedef uint32_t Activation __attribute__((may_alias));
  using Sum = VecF;
  using Factor = VecF::RawBits;
  using Weights = VecF::RawBits;

  GRU_EXT_FN static RowScale prepare(const float* a, int64_t K, Activation* to) {
    constexpr int lanes = VecF::kLanes;
    BFloat16* numbers = reinterpret_cast<BFloat16*>(to);
    int64_t k = 0;
    for (; k + lanes <= K; k += lanes) store(numbers + k, load(a + k));
    if (k < K) store(numbers + k, load(a + k, K - k), K - k);
    if (K % 2 != 0) numbers[K].bits = 0;
    return {};
  }

  GRU_EXT_FN static Weights unpack(const uint32_t* w, int) { return *reinterpret_cast<const UnalignedWords*>(w); }
  GRU_EXT_FN static Factor broadcast(const Activation* a, int) { return *a - Factor{}; }
  GRU_EXT_FN static Sum add_product(Weights w, Factor a, Sum sum) { return dot(sum, w, a); }

  GRU_EXT_FN static Sum start() { return VecF::zero(); }
  GRU_EXT_FN static VecF finish(Sum sum, const float*, RowScale) { return sum; }
};
#else
// As float32 the first weight is the word shifted up, and the second the word as it is: what the lower half adds to it is not
// taken off but taken into account when its upper half is chosen (pack.cpp), which costs nothing here and no accuracy there.
struct Bf16Weights {
  static constexpr int64_t kPerWord = 2;
  static constexpr int kSums = kRegisterSums < 24 ? 8 : 24;  // with 12, 16 registers do not suffice
  static constexpr int kParts = 2;
  struct Activation {
    float number[2];
  } __attribute__((may_alias));
  using Sum = VecF;
  using Factor = VecF;
  using Weights = VecF;

  GRU_EXT_FN static RowScale prepare(const float* a, int64_t K, Activation* to) {
    to[(K - 1) / 2].number[1] = 0;
    __builtin_memcpy(to, a, static_cast<uint64_t>(K) * sizeof(float));
    return {};
  }

  GRU_EXT_FN static Weights unpack(const uint32_t* w, int part) {
    const VecF::RawBits words = *reinterpret_cast<const UnalignedWords*>(w);
    return VecF::from_bits(part == 0 ? words << 16 : words);
  }
  GRU_EXT_FN static Factor broadcast(const Activation* a, int part) { return VecF::broadcast(a->number[part]); }
  GRU_EXT_FN static Sum add_product(Weights w, Factor a, Sum sum) { return fma(w, a, sum); }

  GRU_EXT_FN static Sum start() { return VecF::zero(); }
  GRU_EXT_FN static VecF finish(Sum sum, const float*, RowScale) { return sum; }
};
#endif
