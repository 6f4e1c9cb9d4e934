// What a wrapper isa_LEVEL.cpp includes before it opens its target: no code may be compiled for a level above the baseline
// but ours. Functions of std or torch that were, the linker could pick for the whole library, and an older CPU would stop at
// an illegal instruction.
#pragma once

#include <cstdint>

#include "cpu/kernels/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define GRU_EXT_X86 1
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define GRU_EXT_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define GRU_EXT_TARGET_BEGIN(features) \
  GRU_EXT_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define GRU_EXT_TARGET_END GRU_EXT_PRAGMA(clang attribute pop)
#else
#define GRU_EXT_TARGET_BEGIN(features) GRU_EXT_PRAGMA(GCC push_options) GRU_EXT_PRAGMA(GCC target(features))
#define GRU_EXT_TARGET_END GRU_EXT_PRAGMA(GCC pop_options)
#endif
