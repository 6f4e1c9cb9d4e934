// Loads a TorchScript model that contains gru_ext's cells, runs it, and trains it for one step. No Python in the process.
//
//   gru_ext_torchscript MODEL.pt BATCH.pt
//
// MODEL.pt  torch.jit.save of a classifier: forward(x) -> logits [N, C]
// BATCH.pt  torch.save((x, labels)), labels int64 [N]
//
// No header of gru_ext is needed: the ops register themselves because CMakeLists.txt links gru_ext::ops.
#include <torch/csrc/jit/serialization/pickle.h>
#include <torch/script.h>

#include <fstream>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

constexpr double kLearningRate = 0.1;

// What torch.save wrote; it may hold tensors, numbers, strings, and tuples, lists and dicts of these.
c10::IValue load(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return torch::jit::pickle_load(std::vector<char>(std::istreambuf_iterator<char>(file), {}));
}

// One row of logits [N, C] a line, with all the digits of a float32.
void print_rows(const at::Tensor& logits) {
  const at::Tensor rows = logits.detach().to(at::kCPU, at::kFloat).contiguous();
  for (int64_t i = 0; i < rows.size(0); ++i) {
    const float* row = rows[i].const_data_ptr<float>();
    for (int64_t j = 0; j < rows.size(1); ++j) std::cout << (j > 0 ? " " : "") << row[j];
    std::cout << '\n';
  }
}

int run(const std::string& model_path, const std::string& batch_path) {
  torch::jit::Module model = torch::jit::load(model_path);
  const auto batch = load(batch_path).toTuple();
  const at::Tensor x = batch->elements().at(0).toTensor();
  const at::Tensor labels = batch->elements().at(1).toTensor();

  const at::Tensor logits = model.forward({x}).toTensor();
  std::cout << "logits " << logits.size(0) << " " << logits.size(1) << '\n';
  print_rows(logits);

  const at::Tensor loss = at::cross_entropy_loss(logits, labels);
  loss.backward();

  int parameters = 0;
  int gradients = 0;
  {
    c10::NoGradGuard update_is_not_recorded;
    for (at::Tensor parameter : model.parameters()) {
      ++parameters;
      if (!parameter.grad().defined()) continue;
      ++gradients;
      parameter.sub_(parameter.grad(), kLearningRate);
    }
  }
  const at::Tensor loss_after = at::cross_entropy_loss(model.forward({x}).toTensor(), labels);
  std::cout << "loss before " << loss.item<float>() << '\n'
            << "loss after " << loss_after.item<float>() << '\n'
            << "gradients " << gradients << " of " << parameters << " parameters\n";
  return gradients == parameters ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: " << argv[0] << " MODEL.pt BATCH.pt\n";
    return 2;
  }
  std::cout << std::setprecision(std::numeric_limits<float>::max_digits10);
  try {
    return run(argv[1], argv[2]);
  } catch (const c10::Error& error) {  // its what() is followed by a stack trace
    std::cerr << error.what_without_backtrace() << '\n';
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
  }
  return 1;
}
