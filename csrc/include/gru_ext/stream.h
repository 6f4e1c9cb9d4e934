/* A gated recurrent unit, step by step, for programs with a deadline: no libtorch, no allocation, no lock, no thread.
 *
 *   r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)      q = W_hn h + b_hn
 *   z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)      n = tanh(W_in x + b_in + r * q)      h' = n + z * (h - n)
 *
 * that is torch.nn.GRUCell, and a stack of them torch.nn.GRU in one direction. C11 and C++; nothing here throws. A C++17
 * wrapper, gru_ext::Model and gru_ext::Stream, is at the end.
 *
 *   gru_weights w = {w_ih, w_hh, b_ih, b_hh, 256, 256};
 *   size_t size = gru_packed_size(256, 256, GRU_INT8);
 *   void* packed = aligned_alloc(GRU_ALIGNMENT, size);
 *   int code = gru_pack(&w, GRU_INT8, packed, size);           // once
 *   void* scratch = aligned_alloc(GRU_ALIGNMENT, gru_scratch_size(packed));
 *   for (;;) gru_step(packed, x, h, scratch);                  // in the real-time thread
 *
 * T steps, N streams, I input_size, H hidden_size; rightmost dimension contiguous; gates in the order r, z, n. All sizes of
 * memory are in bytes, all strides in numbers.
 */
#ifndef GRU_EXT_STREAM_H
#define GRU_EXT_STREAM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GRU_ALIGNMENT ((size_t)64)      /* of packed weights and of scratch memory; sizes are multiples of it */
#define GRU_MAX_SIZE ((int64_t)1 << 20) /* the largest input_size and hidden_size */
#define GRU_MAX_LAYERS ((int64_t)1 << 10)

/* In what the weights are kept; x, h, sums and gates are float32. GRU_BF16: rounded to nearest. GRU_INT8: with a scale for each
 * row; x and h are rounded to 9 bits in each step, with a scale for each; to fewer where they have more than 66,311 numbers. */
typedef enum { GRU_F32 = 0, GRU_BF16 = 1, GRU_INT8 = 2 } gru_weight_type;

enum {
  GRU_OK = 0,
  GRU_ERROR_NULL = 1,
  GRU_ERROR_SIZE = 2,
  GRU_ERROR_LAYERS = 3,
  GRU_ERROR_TYPE = 4,
  GRU_ERROR_VARIANT = 5,
  GRU_ERROR_MEMORY = 6,
  GRU_ERROR_ALIGNMENT = 7,
  GRU_ERROR_NOT_FINITE = 8,
  GRU_ERROR_ISA = 9,
  GRU_ERROR_NOT_PACKED = 10,
  GRU_ERROR_MACHINE = 11,
  GRU_ERROR_OPEN = 20,
  GRU_ERROR_READ = 21,
  GRU_ERROR_WRITE = 22,
  GRU_ERROR_NOT_GRU = 23,
  GRU_ERROR_VERSION = 24,
  GRU_ERROR_FILE_SIZE = 25,
  GRU_ERROR_CHECKSUM = 26,
  GRU_ERROR_FIELD = 27
};

/* One sentence on a code; never NULL. */
const char* gru_error_string(int code);

/* ---- Packing: once, at start-up ---- */

/* One layer as torch has it: w_ih [3H, I], w_hh [3H, H], b_ih and b_hh [3H] or NULL. */
typedef struct {
  const float *w_ih, *w_hh, *b_ih, *b_hh;
  int64_t input_size, hidden_size;
} gru_weights;

/* Layers on top of each other: each takes the new state of the one below, so its input_size is the hidden_size of that one. */
typedef struct {
  const gru_weights* layers;
  int64_t num_layers;
  /* 0: torch's equations, above. 1: r acts on h before the product, n = tanh(W_in x + b_in + W_hn (r * h) + b_hn): Keras with
   * reset_after=False, ONNX with linear_before_reset=0. */
  int32_t reset_before;
} gru_stack;

/* Memory that the packed weights need on this machine; 0 where gru_pack would refuse the arguments. Only the sizes of the
 * layers are read. */
size_t gru_packed_size(int64_t input_size, int64_t hidden_size, gru_weight_type type);
size_t gru_stack_packed_size(const gru_stack* stack, gru_weight_type type);

/* Packs into the caller's memory, aligned to GRU_ALIGNMENT, for the best instruction set that this processor has and the
 * environment variable GRU_EXT_ISA (default, avx2, avx512, avx512_vnni_bf16, and amx_bf16, which is the same here) allows.
 * Returns GRU_OK or an error; the weights are not needed afterwards. The packed memory holds no address: it may be copied, and
 * is read-only and shared by any number of threads from then on. */
int gru_pack(const gru_weights* weights, gru_weight_type type, void* memory, size_t size);
int gru_stack_pack(const gru_stack* stack, gru_weight_type type, void* memory, size_t size);

/* GRU_OK where `packed` is what this version packed, whole, and this processor runs it; call it on memory that came from
 * elsewhere. The functions below do not check. */
int gru_check(const void* packed, size_t size);

typedef struct {
  int64_t input_size;  /* of the first layer */
  int64_t output_size; /* hidden_size of the last layer */
  int64_t state_size;  /* sum of all hidden sizes: numbers in a state h */
  int64_t num_layers;
  gru_weight_type type;
  int32_t reset_before;
  size_t packed_size;
  size_t scratch_size;
  const char* level; /* the instruction set: "default", "avx2", "avx512", "avx512_vnni_bf16" */
} gru_info;

gru_info gru_describe(const void* packed);

/* ---- Steps: in the real-time thread. No allocation, lock, system call, thread, or work at the first call ---- */

/* Memory for the functions below, aligned to GRU_ALIGNMENT: one for each thread that calls them. It holds nothing from one call
 * to the next. */
size_t gru_scratch_size(const void* packed);

/* One step: x [I]; h [state_size], the states of the layers one after the other, is updated in place. The output is the state
 * of the last layer. x, h and the scratch memory may not overlap. */
void gru_step(const void* packed, const float* x, float* h, void* scratch);

/* T steps whose inputs are known: x [T, I]; y [T, output_size] or NULL takes the outputs. The same bits as T calls of gru_step;
 * quicker, because the products with x share one reading of the weights. */
void gru_steps(const void* packed, const float* x, int64_t T, float* h, float* y, void* scratch);

/* One step of N streams that share a model: x [N, I], rows x_row apart, h [N, state_size], rows h_row apart. The same bits as N
 * calls of gru_step. */
void gru_step_batch(const void* packed, int64_t N, const float* x, int64_t x_row, float* h, int64_t h_row, void* scratch);

/* ---- Files (.gru): plain float32 weights for any machine, and the type to pack them as. csrc/stream/file.cpp and
 * docs/stream.md say what each byte means. Everything in a file is checked before it is used ---- */

/* What the file, in memory aligned to 4 bytes, would be packed to on this machine. */
int gru_file_describe(const void* file, size_t file_size, gru_info* info);

/* Packs into memory of info.packed_size bytes, aligned to GRU_ALIGNMENT; the file is not needed afterwards. */
int gru_file_pack(const void* file, size_t file_size, void* memory, size_t size);

/* Reads and packs; *packed must be given to gru_free. It is NULL where an error is returned. */
int gru_load(const char* path, void** packed);
void gru_free(void* packed);

/* Writes: to memory of gru_file_size bytes (0 where gru_stack_pack would refuse the arguments), or to a path. */
size_t gru_file_size(const gru_stack* stack);
int gru_file_write(const gru_stack* stack, gru_weight_type type, void* memory, size_t size);
int gru_save(const char* path, const gru_stack* stack, gru_weight_type type);

#ifdef __cplusplus
}
#endif

#if defined(__cplusplus) && __cplusplus >= 201703L
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

namespace gru_ext {

// Packed weights: immutable, copied by reference, shared by any number of threads. After load or pack, look whether it is
// there:
//
//   const auto model = gru_ext::Model::load("denoiser.gru");
//   if (!model) return model.message();
class Model {
 public:
  Model() = default;

  static Model load(const char* path) {
    void* packed = nullptr;
    const int error = gru_load(path, &packed);
    return Model(packed, error);
  }

  // From the bytes of a .gru file.
  static Model load(const void* file, size_t file_size) {
    gru_info info;
    const int error = gru_file_describe(file, file_size, &info);
    if (error != GRU_OK) return Model(nullptr, error);
    void* packed = std::aligned_alloc(GRU_ALIGNMENT, info.packed_size);
    return Model(packed, packed == nullptr ? GRU_ERROR_MEMORY : gru_file_pack(file, file_size, packed, info.packed_size));
  }

  static Model pack(const gru_stack& stack, gru_weight_type type) {
    const size_t size = gru_stack_packed_size(&stack, type);
    void* packed = size == 0 ? nullptr : std::aligned_alloc(GRU_ALIGNMENT, size);
    // Without memory it says what is wrong with the arguments, if anything is.
    int error = gru_stack_pack(&stack, type, packed, size);
    if (size != 0 && packed == nullptr) error = GRU_ERROR_MEMORY;
    return Model(packed, error);
  }

  static Model pack(const gru_weights& weights, gru_weight_type type) {
    const gru_stack stack = {&weights, 1, 0};
    return pack(stack, type);
  }

  explicit operator bool() const noexcept { return packed_ != nullptr; }
  int error() const noexcept { return error_; }
  const char* message() const noexcept { return gru_error_string(error_); }

  // Of a model that is there.
  const void* packed() const noexcept { return packed_.get(); }
  gru_info info() const noexcept { return gru_describe(packed_.get()); }

 private:
  Model(void* packed, int error) : error_(error) {
    if (error == GRU_OK)
      packed_.reset(packed, &gru_free);
    else
      gru_free(packed);
  }

  std::shared_ptr<const void> packed_;
  int error_ = GRU_ERROR_NULL;
};

// The state of one stream, zeros at first. All memory is allocated by the constructor; one thread uses it at a time.
class Stream {
 public:
  // Of a model that is there; false if there is no memory.
  explicit Stream(Model model) : model_(std::move(model)), info_(model_.info()) {
    const size_t state = static_cast<size_t>(info_.state_size) * sizeof(float);
    const size_t size = info_.scratch_size + (state + GRU_ALIGNMENT - 1) / GRU_ALIGNMENT * GRU_ALIGNMENT;
    memory_.reset(std::aligned_alloc(GRU_ALIGNMENT, size));
    if (memory_ != nullptr) reset();
  }

  explicit operator bool() const noexcept { return memory_ != nullptr; }
  const Model& model() const noexcept { return model_; }

  // x [I] in; out comes the output [output_size], valid until the next call.
  const float* step(const float* x) noexcept {
    gru_step(model_.packed(), x, state(), memory_.get());
    return output();
  }

  // x [T, I]; y [T, output_size] or null.
  void steps(const float* x, int64_t T, float* y) noexcept { gru_steps(model_.packed(), x, T, state(), y, memory_.get()); }

  void reset() noexcept { std::memset(state(), 0, static_cast<size_t>(info_.state_size) * sizeof(float)); }

  // [state_size], may be read and written between steps.
  float* state() noexcept { return reinterpret_cast<float*>(static_cast<char*>(memory_.get()) + info_.scratch_size); }
  const float* output() noexcept { return state() + info_.state_size - info_.output_size; }

 private:
  struct Free {
    void operator()(void* memory) const noexcept { std::free(memory); }
  };

  Model model_;
  gru_info info_;
  std::unique_ptr<void, Free> memory_;
};

}  // namespace gru_ext
#endif

#endif /* GRU_EXT_STREAM_H */
