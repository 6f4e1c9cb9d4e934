/* A gated recurrent unit, step by step, for programs with a deadline: no libtorch, no allocation, no lock, no thread.
 *
 *   r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)      q = W_hn h + b_hn
 *   z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)      n = tanh(W_in x + b_in + r * q)      h' = n + z * (h - n)
 *
 * that is torch.nn.GRUCell, and a stack of them torch.nn.GRU in one direction. C11 and C++17; nothing here throws. A C++ wrapper,
 * gru_ext::Model and gru_ext::Stream, is at the end.
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

#define GRU_ALIGNMENT ((size_t)64) /* of packed weights and of scratch memory; sizes are multiples of it */
#define GRU_MAX_SIZE ((int64_t)1 << 20) /* the largest input_size and hidden_size */
#define GRU_MAX_LAYERS ((int64_t)1 << 10)

/* In what the weights are kept; x, h, sums and gates are float32. GRU_BF16: rounded to nearest. GRU_INT8: with a scale for each
 * row; x and h are rounded to 8 bits in each step, with a scale for each. */
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
 * environment variable GRU_EXT_ISA (default, avx2, avx512, avx512_vnni_bf16) allows. Returns GRU_OK or an error; the weights are
 * not needed afterwards. The packed memory holds no address: it may be copied, and is read-only and shared by any number of
 * threads from then on. */
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

/* One step: x [I]; h [state_size], the states of the layers one after the other, is updated in place. The output is the state of
 * the last layer. Nothing but h may overlap scratch, x or the packed weights; x and h may not overlap. */
void gru_step(const void* packed, const float* x, float* h, void* scratch);

/* T steps whose inputs are known: x [T, I]; y [T, output_size] or NULL takes the outputs. The same bits as T calls of gru_step;
 * quicker, because the products with x share one reading of the weights. */
void gru_steps(const void* packed, const float* x, int64_t T, float* h, float* y, void* scratch);

/* One step of N streams that share a model: x [N, I], rows x_row apart, h [N, state_size], rows h_row apart. The same bits as N
 * calls of gru_step. */
void gru_step_batch(const void* packed, int64_t N, const float* x, int64_t x_row, float* h, int64_t h_row, void* scratch);

#ifdef __cplusplus
}
#endif

#endif /* GRU_EXT_STREAM_H */
