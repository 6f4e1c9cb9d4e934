// Denoises a WAV file hop by hop, as an audio callback would. No libtorch and no Python in the process.
//
//   denoise MODEL.gru NOISY.wav OUT.wav [CLEAN.wav]
//
// MODEL.gru  what train.py writes: GRU layers from 32 bands to 32 bands
// *.wav      16000 Hz, one channel, 16 bits
//
// Prints the latency of the hops and, with the clean sound, the signal-to-noise ratio before and after.
#include <gru_ext/stream.h>

#include <cmath>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "denoiser.h"
#include "latency.h"
#include "wav.h"

namespace {

using cpp_stream::Bands;
using cpp_stream::Denoiser;
using cpp_stream::Latency;
using Samples = std::vector<int16_t>;

constexpr size_t kHop = Denoiser::kHop;
constexpr double kBudget = 1e6 * kHop / Denoiser::kRate;           // microseconds
constexpr const char* kTypes[] = {"float32", "bfloat16", "int8"};  // gru_weight_type

// In dB.
double signal_to_noise(const Samples& clean, const Samples& samples) {
  double signal = 0, noise = 0;
  for (size_t i = 0; i < clean.size(); ++i) {
    signal += std::pow(clean[i], 2);
    noise += std::pow(samples[i] - clean[i], 2);
  }
  return 10 * std::log10(signal / noise);
}

int16_t to_16_bits(float sample) {
  return static_cast<int16_t>(std::nearbyint(std::fmax(-32768.0f, std::fmin(32767.0f, 32768 * sample))));
}

gru_ext::Model load(const std::string& path) {
  gru_ext::Model model = gru_ext::Model::load(path.c_str());
  if (!model) throw std::runtime_error(path + ": " + model.message());
  const gru_info info = model.info();
  if (info.input_size != Bands::kBands || info.output_size != Bands::kBands)
    throw std::runtime_error(path + ": expected input_size and output_size " + std::to_string(Bands::kBands) + ", got " +
                             std::to_string(info.input_size) + " and " + std::to_string(info.output_size));
  return model;
}

// As long as noisy. What goes out is a hop behind what comes in, so there is one hop more, and the first is dropped.
Samples denoise(Denoiser& denoiser, const Samples& noisy, Latency& latency) {
  const size_t hops = (noisy.size() + kHop - 1) / kHop + 1;
  Samples in = noisy, out(hops * kHop);
  in.resize(hops * kHop);
  latency.reserve(hops);
  for (size_t first = 0; first < in.size(); first += kHop) {  // from here on nothing is allocated
    float block[kHop];
    for (size_t i = 0; i < kHop; ++i) block[i] = in[first + i] / 32768.0f;
    latency.measure([&] { denoiser.hop(block, block); });
    for (size_t i = 0; i < kHop; ++i) out[first + i] = to_16_bits(block[i]);
  }
  return Samples(out.begin() + kHop, out.begin() + kHop + noisy.size());
}

void print(const char* what, const Latency& latency) {
  const double p99 = latency.quantile(0.99);
  std::printf("%s: p50 %.1f us, p99 %.1f us, max %.1f us; p99 is %.2f %% of the budget\n", what, latency.quantile(0.5), p99,
              latency.quantile(1), 100 * p99 / kBudget);
}

void run(const std::string& model_path, const std::string& noisy_path, const std::string& out_path, const char* clean_path) {
  const gru_ext::Model model = load(model_path);
  const Samples noisy = cpp_stream::read_wav(noisy_path, Denoiser::kRate);
  const Samples clean = clean_path == nullptr ? noisy : cpp_stream::read_wav(clean_path, Denoiser::kRate);
  if (clean.size() != noisy.size())
    throw std::runtime_error(std::string(clean_path) + ": expected " + std::to_string(noisy.size()) + " samples as in " +
                             noisy_path + ", got " + std::to_string(clean.size()));
  Denoiser denoiser(model);
  gru_ext::Stream gru(model);
  if (!denoiser || !gru) throw std::runtime_error("out of memory");

  Latency hops, steps;
  const Samples out = denoise(denoiser, noisy, hops);
  cpp_stream::write_wav(out_path, Denoiser::kRate, out);

  const float x[Bands::kBands] = {};
  steps.reserve(hops.count());
  for (size_t t = 0; t < hops.count(); ++t) steps.measure([&] { gru.step(x); });
  std::printf("%lld GRU layers, %s, %s; %zu hops of %.0f ms\n", static_cast<long long>(model.info().num_layers),
              kTypes[model.info().type], model.info().level, hops.count(), kBudget / 1e3);
  print("a hop", hops);
  print("the GRU alone", steps);
  if (clean_path != nullptr)
    std::printf("SNR before %.2f dB, after %.2f dB\n", signal_to_noise(clean, noisy), signal_to_noise(clean, out));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4 && argc != 5) {
    std::fprintf(stderr, "usage: %s MODEL.gru NOISY.wav OUT.wav [CLEAN.wav]\n", argv[0]);
    return 2;
  }
  try {
    run(argv[1], argv[2], argv[3], argc == 5 ? argv[4] : nullptr);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
