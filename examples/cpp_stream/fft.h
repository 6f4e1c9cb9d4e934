// Real spectra of one frame: a mixed-radix Stockham FFT of 320 = 5 * 4 * 4 * 4 points, with tables made at start-up.
#pragma once

#include <array>
#include <cmath>

namespace cpp_stream {

class Fft {
 public:
  static constexpr int kSize = 320;
  static constexpr int kBins = kSize / 2 + 1;

  struct Numbers {  // complex, parts apart: the compiler makes vectors of them
    std::array<float, kSize> re, im;
  };

  Fft() {
    const double turn = -2 * std::acos(-1.0) / kSize;
    for (int i = 0; i < kSize; ++i) {
      root_.re[i] = static_cast<float>(std::cos(turn * i));
      root_.im[i] = static_cast<float>(std::sin(turn * i));
    }
  }

  // In place, not scaled: X_k = sum x_n exp(-2 pi i n k / 320).
  void transform(Numbers& x) noexcept {
    pass<5>(x, work_, 1);
    pass<4>(work_, x, 5);
    pass<4>(x, work_, 20);
    pass<4>(work_, x, 80);
  }

 private:
  // One factor R of the size; `done` is the product of those before. Columns that lie `count` apart are combined, turned,
  // and written side by side, so that the result of the last pass is in order.
  template <int R>
  void pass(const Numbers& x, Numbers& y, int done) const noexcept {
    const int left = kSize / done / R, count = kSize / R;
    for (int p = 0; p < left; ++p) {
      for (int k = 0; k < R; ++k) {
        float *re = &y.re[done * (R * p + k)], *im = &y.im[done * (R * p + k)];
        for (int q = 0; q < done; ++q) re[q] = im[q] = 0;
        for (int j = 0; j < R; ++j) {
          const int angle = (k * (count * j + done * p)) % kSize;
          const float c = root_.re[angle], s = root_.im[angle];
          const float *from_re = &x.re[done * p + count * j], *from_im = &x.im[done * p + count * j];
          for (int q = 0; q < done; ++q) {
            re[q] += c * from_re[q] - s * from_im[q];
            im[q] += c * from_im[q] + s * from_re[q];
          }
        }
      }
    }
  }

  Numbers root_, work_;
};

}  // namespace cpp_stream
