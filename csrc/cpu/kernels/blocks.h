// Into what pieces the forward step (forward.h) is divided, so that each is read where the caches still hold it: strips of
// rows, blocks of rows and units, passes of rows, parts of long rows. Which rows are long, and how long their parts are,
// decides the order of the sums, so that follows from the sizes of the cell alone; nothing else here changes a number.
#pragma once

// A block of the output, of which the sums are collected before the gates are computed: a whole number of vectors of units at
// every level, and as many rows as leave the weights of those units in the nearer caches. Measured with AVX2: with 6, 12 or 24
// rows a large batch takes up to 10 % longer.
//
// Every pass of rows begins with reading, and of 16-bit numbers with widening, x and h for the units of a block. Against 16
// units float32 takes with 48 as long with AVX2 and 1.02 to 1.04 times less with AVX-512 in a batch, 1.02 to 1.2 times less
// with one to three rows, 16-bit numbers 1.02 to 1.26 times less. 96 are no better.
template <class S>
constexpr int kGatedUnits = 192 / sizeof(S);
constexpr int64_t kGatedRows = 48;

// A block has fewer units where their weights would be more bytes: they are read for every pass of rows, so that the
// second-level cache should hold them. 64 rows at I = H = 1024 take 1.09 times as long with 1.2 MB of weights.
constexpr int64_t kBlockWeights = (GRU_EXT_VEC_BYTES == 64 ? 640 : 256) << 10;
constexpr int kFewestGatedUnits = 16;

// Rows that all units are computed for before the next come, so that the farther caches hold them meanwhile: about as many
// as are kStripBytes of x and h, but not more than kStripRows, nor less than half of them. On a Zen 4 with a second-level cache
// of 1 MB 0.95 to 0.99 of the time against kStripRows for 200 to 384 units, the same for fewer.
constexpr int64_t kStripRows = 10 * kGatedRows, kStripBytes = 384 << 10;

// Bytes of x and h that all units of a block meet before the next rows come: they stay in the first-level cache beside a tile's
// rows of weights.
constexpr int64_t kPassBytes = 16 << 10;

// Rows of x and h together of as many bytes and more, as they are multiplied, are long, and are multiplied in parts of
// kPartBytes at most. Measured on a Zen 5 with AVX-512: from 6 KB on 1.1 to 1.25 times as fast with 16 to 256 rows, 1 to 3 %
// slower with one; at 4 KB from 0.94 to 1.16, by the number of rows. Parts of 1 to 3 KB are slower. With AVX2 it is no gain: a
// tile of fewer rows waits for other things.
#if GRU_EXT_VEC_BYTES == 64
constexpr int64_t kLongRows = 5 << 10;
#else
constexpr int64_t kLongRows = 0;  // none are
#endif
constexpr int64_t kPartBytes = 4 << 10;

// A number of rows, whole tiles, that divides N into equal parts of not much more than `most`.
GRU_EXT_FN int64_t rows_of_a_part(int64_t N, int64_t most) {
  if (N <= most || N <= 2 * kDotRows) return N > 0 ? N : 1;
  const int64_t tiles = (N + kDotRows - 1) / kDotRows, fit = most < kDotRows ? kDotRows : most, parts = (N + fit - 1) / fit;
  return (tiles + parts - 1) / parts * kDotRows;
}

// How many bytes a number has as it is multiplied. Like what follows from it, the same for any batch, so that a row is.
template <class T>
constexpr int64_t kNumberBytes = Numbers<T>::widened ? sizeof(Compute<T>) : sizeof(T);

template <class T>
GRU_EXT_FN bool is_long(int64_t I, int64_t H) {
  return kLongRows > 0 && (I + H) * kNumberBytes<T> >= kLongRows;
}

// Into how long parts a row of K numbers is divided: equal ones of whole pieces.
template <class T>
GRU_EXT_FN int64_t part_of_row(int64_t K) {
  constexpr int64_t most = kPartBytes / kNumberBytes<T>, piece = kPieceBytes / GRU_EXT_VEC_BYTES * Numbers<T>::count;
  const int64_t parts = (K + most - 1) / most;
  return parts > 1 ? ((K + parts - 1) / parts + piece - 1) / piece * piece : K;
}

// Units of a block, for rows of K numbers. They change no number of the result.
template <class E>
GRU_EXT_FN int units_of_block(int64_t N, int64_t K) {
  constexpr int most = kGatedUnits<Compute<E>>;
  if (N <= kDotRows || K == 0) return most;  // all rows in one pass
  const int64_t fit = kBlockWeights / (3 * K * static_cast<int64_t>(sizeof(E)));
  return fit >= most                   ? most
         : fit < 2 * kFewestGatedUnits ? kFewestGatedUnits
                                       : static_cast<int>(fit / kFewestGatedUnits) * kFewestGatedUnits;
}

// Rows of a strip, whole blocks.
template <class E>
GRU_EXT_FN int64_t rows_of_strip(int64_t N, int64_t I, int64_t H) {
  if (N <= kStripRows / 2) return N;
  const int64_t row_bytes = (I + H) * static_cast<int64_t>(sizeof(E)), bytes = kStripBytes;
  const int64_t rows = row_bytes * kStripRows <= bytes       ? kStripRows
                       : row_bytes * kStripRows >= 2 * bytes ? kStripRows / 2
                                                             : bytes / row_bytes;
  const int64_t strips = (N + rows / 2) / rows;
  return (N + kGatedRows * strips - 1) / (kGatedRows * strips) * kGatedRows;
}

// Whether the first rows of a strip that meet weights ask for those that follow: where all of them are more bytes than the
// nearer caches hold beside x and h, but for few rows, with which a tile's weights last too short a time. Measured with AVX-512
// on a Zen 4 with 1 MB of second-level cache, I = H: 0.90 of the time with 64 rows of 512 units, 0.87 with 64 of 768, 0.92 with
// 100 of 384, 0.97 with 1000 of 200 to 384, 0.98 with 256 of 256, 0.99 with 16 of 256, 1.04 with 10 of 256, 1.02 with 8 of 512,
// 0.53 with 8 of 768. With AVX2 there 0.83 with 32 of 512, but 1.11 with 16 and 1.05 with 32 of 256.
template <class E>
GRU_EXT_FN bool asks_for_weights(int64_t N, int64_t I, int64_t H) {
  constexpr int64_t few = 12, of_few = 10 << 20, of_many = GRU_EXT_VEC_BYTES == 64 ? 600 << 10 : 5 << 20;
  return 3 * H * (I + H) * static_cast<int64_t>(sizeof(E)) > (N == 1 ? kFarWeights : N <= few ? of_few : of_many);
}

// And whether there are tiles for it: of numbers that are multiplied as they lie.
template <class T, class E>
constexpr bool kAsksForBatch = sizeof(T) == sizeof(E) && (kAsks<E> || (sizeof(E) == 2 && !Numbers<E>::widened));

// Batches that forward_panels.h multiplies, where vectors have 32 bytes: of rows of x and h together of so many bytes, as they
// are multiplied, and of so many bytes in all, because the weights are copied; and of units enough that copies of x and h pay
// as well. 16-bit numbers, which are widened all the same, gain earlier. Measured on a Zen 3 with a second-level cache of 512
// KB, I = H: float32 takes 0.77 of the time with 256 rows of 1024 units, 0.89 with 256 of 512, 0.93 with 64 of 512, 0.98 with
// 32 of 512, 1.15 with 16; 0.95 to 1.05 with 256 units. float64 takes 0.77 to 0.94 from 256 units on, bfloat16 0.75 to 0.95
// from 200 on.
constexpr bool kHasPanels = GRU_EXT_VEC_BYTES == 32;
template <class T>
GRU_EXT_FN bool in_panels(int64_t N, int64_t I, int64_t H) {
  constexpr bool widened = Numbers<T>::widened;
  constexpr int64_t bytes_of_row = widened ? 1280 : 2304, bytes_of_rows = (widened ? 64 : 160) << 10, fewest_units = 96;
  const int64_t row = (I + H) * static_cast<int64_t>(sizeof(Compute<T>));
  return kHasPanels && H >= fewest_units && row >= bytes_of_row && N * row >= bytes_of_rows;
}
