/* The C interface from C, and what it refuses. Prints nothing if all is well. Argument: a folder to write to. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gru_ext/stream.h"

static int failures = 0;

#define EXPECT(condition)                                            \
  do {                                                               \
    if (!(condition)) {                                              \
      printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
      ++failures;                                                    \
    }                                                                \
  } while (0)

enum { I = 5, H = 7, ROWS = 3 * H };
static float w_ih[ROWS * I], w_hh[ROWS * H], b_ih[ROWS], b_hh[ROWS];
static const gru_weights weights = {w_ih, w_hh, b_ih, b_hh, I, H};

static void fill(float* numbers, int count) {
  static unsigned state = 1;
  for (int i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    numbers[i] = (float)(state >> 8) / (1 << 23) - 1;
  }
}

static void* memory_of(size_t size) {
  void* memory = aligned_alloc(GRU_ALIGNMENT, size);
  if (memory == NULL) exit(EXIT_FAILURE);
  return memory;
}

static void check_packing(void) {
  const size_t size = gru_packed_size(I, H, GRU_F32);
  unsigned char* memory = memory_of(size + GRU_ALIGNMENT);
  gru_weights bad = weights;
  EXPECT(size > 0 && size % GRU_ALIGNMENT == 0);
  EXPECT(gru_packed_size(0, H, GRU_F32) == 0 && gru_packed_size(I, -1, GRU_F32) == 0);
  EXPECT(gru_packed_size(GRU_MAX_SIZE + 1, H, GRU_F32) == 0 && gru_packed_size(INT64_MAX, INT64_MAX, GRU_F32) == 0);
  EXPECT(gru_packed_size(I, H, (gru_weight_type)3) == 0);
  EXPECT(gru_pack(NULL, GRU_F32, memory, size) == GRU_ERROR_NULL);
  EXPECT(gru_pack(&weights, GRU_F32, NULL, size) == GRU_ERROR_NULL);
  bad.w_hh = NULL;
  EXPECT(gru_pack(&bad, GRU_F32, memory, size) == GRU_ERROR_NULL);
  EXPECT(gru_pack(&weights, (gru_weight_type)3, memory, size) == GRU_ERROR_TYPE);
  EXPECT(gru_pack(&weights, GRU_F32, memory, size - 1) == GRU_ERROR_MEMORY);
  EXPECT(gru_pack(&weights, GRU_F32, memory + 4, size) == GRU_ERROR_ALIGNMENT);
  EXPECT(gru_check(memory, 0) == GRU_ERROR_NOT_PACKED);
  EXPECT(gru_pack(&weights, GRU_F32, memory, size) == GRU_OK);
  EXPECT(gru_check(memory, size) == GRU_OK && gru_check(memory, size - 1) == GRU_ERROR_NOT_PACKED);
  EXPECT(gru_check(NULL, size) == GRU_ERROR_NULL);

  /* Each byte of the header and of the layer's record matters: nothing that was changed there passes. */
  for (size_t at = 0; at < 104 + 128; ++at) {
    memory[at] ^= 0x55;
    if (gru_check(memory, size) == GRU_OK) {
      printf("byte %d of a packed model may be anything\n", (int)at);
      ++failures;
    }
    memory[at] ^= 0x55;
  }

  /* The level is the third number after the magic. */
  const uint32_t no_such_level = 77;
  uint32_t level;
  memcpy(&level, memory + 16, sizeof level);
  memcpy(memory + 16, &no_such_level, sizeof no_such_level);
  EXPECT(gru_check(memory, size) == GRU_ERROR_MACHINE);
  memcpy(memory + 16, &level, sizeof level);
  EXPECT(gru_check(memory, size) == GRU_OK);

  for (int type = GRU_F32; type <= GRU_INT8; ++type) {
    const float good = w_hh[H + 1];
    w_hh[H + 1] = INFINITY;
    EXPECT(gru_pack(&weights, (gru_weight_type)type, memory, size) == (type == GRU_F32 ? GRU_OK : GRU_ERROR_NOT_FINITE));
    EXPECT(type == GRU_F32 || gru_check(memory, size) == GRU_ERROR_NOT_PACKED);
    w_hh[H + 1] = good;
  }
  free(memory);
}

static void check_stacks(void) {
  const gru_weights layers[2] = {weights, {w_hh, w_hh, NULL, NULL, H, H}};
  const gru_weights apart[2] = {weights, weights};
  gru_stack stack = {layers, 2, 0};
  gru_stack bad = stack;
  const size_t size = gru_stack_packed_size(&stack, GRU_INT8);
  void* memory = memory_of(size);
  void* moved = memory_of(size);
  void* scratch;
  float x[3 * I], h[2 * H], other[2 * H], y[3 * H];
  EXPECT(gru_stack_packed_size(NULL, GRU_INT8) == 0);
  EXPECT(gru_stack_pack(NULL, GRU_INT8, memory, size) == GRU_ERROR_NULL);
  bad.layers = apart;
  EXPECT(gru_stack_pack(&bad, GRU_INT8, memory, size) == GRU_ERROR_LAYERS);
  bad = stack;
  bad.num_layers = 0;
  EXPECT(gru_stack_pack(&bad, GRU_INT8, memory, size) == GRU_ERROR_LAYERS);
  bad.num_layers = INT64_MAX;
  EXPECT(gru_stack_pack(&bad, GRU_INT8, memory, size) == GRU_ERROR_LAYERS && gru_stack_packed_size(&bad, GRU_F32) == 0);
  bad = stack;
  bad.reset_before = 2;
  EXPECT(gru_stack_pack(&bad, GRU_INT8, memory, size) == GRU_ERROR_VARIANT);

  EXPECT(gru_stack_pack(&stack, GRU_INT8, memory, size) == GRU_OK);
  EXPECT(gru_describe(memory).state_size == 2 * H && gru_describe(memory).packed_size == size);
  scratch = memory_of(gru_scratch_size(memory));
  fill(x, 3 * I);
  memset(h, 0, sizeof h);
  memset(other, 0, sizeof other);
  gru_steps(memory, x, 3, h, y, scratch);
  EXPECT(memcmp(y + 2 * H, h + H, H * sizeof(float)) == 0);
  memcpy(moved, memory, size);
  memset(memory, 0, size);
  for (int t = 0; t < 3; ++t) gru_step(moved, x + t * I, other, scratch);
  EXPECT(memcmp(h, other, sizeof h) == 0);
  free(scratch);
  free(moved);
  free(memory);
}

static void check_files(const char* folder) {
  const gru_stack stack = {&weights, 1, 1};
  const size_t size = gru_file_size(&stack);
  unsigned char* file = memory_of((size + GRU_ALIGNMENT) / GRU_ALIGNMENT * GRU_ALIGNMENT + GRU_ALIGNMENT);
  char path[4096];
  gru_info info;
  void *packed, *loaded = &info;
  EXPECT(size == 32 + 16 + 4 * (ROWS * (I + H + 2)) + 4);
  EXPECT(gru_file_size(NULL) == 0 && gru_file_write(NULL, GRU_BF16, file, size) == GRU_ERROR_NULL);
  EXPECT(gru_file_write(&stack, GRU_BF16, file, size - 1) == GRU_ERROR_MEMORY);
  EXPECT(gru_file_write(&stack, (gru_weight_type)7, file, size) == GRU_ERROR_TYPE);
  EXPECT(gru_file_write(&stack, GRU_BF16, file, size) == GRU_OK);
  EXPECT(gru_file_describe(file, size, &info) == GRU_OK);
  EXPECT(info.input_size == I && info.output_size == H && info.state_size == H);
  EXPECT(info.type == GRU_BF16 && info.reset_before == 1);
  EXPECT(info.packed_size == gru_stack_packed_size(&stack, GRU_BF16));
  packed = memory_of(info.packed_size);
  EXPECT(gru_file_pack(file, size, packed, info.packed_size) == GRU_OK);
  EXPECT(gru_check(packed, info.packed_size) == GRU_OK);

  snprintf(path, sizeof path, "%s/model.gru", folder);
  EXPECT(gru_save(path, &stack, GRU_BF16) == GRU_OK);
  EXPECT(gru_load(path, &loaded) == GRU_OK);
  EXPECT(loaded != NULL && memcmp(loaded, packed, info.packed_size) == 0);
  gru_free(loaded);
  EXPECT(gru_load("/nothing/here.gru", &loaded) == GRU_ERROR_OPEN && loaded == NULL);
  EXPECT(gru_load(folder, &loaded) == GRU_ERROR_READ && loaded == NULL);
  EXPECT(gru_load(NULL, &loaded) == GRU_ERROR_NULL && gru_load(path, NULL) == GRU_ERROR_NULL);
  EXPECT(gru_save("/nothing/here.gru", &stack, GRU_F32) == GRU_ERROR_OPEN);

  /* Every truncation and every changed byte is noticed. */
  for (size_t shorter = 0; shorter < size; ++shorter) EXPECT(gru_file_describe(file, shorter, &info) != GRU_OK);
  for (size_t at = 0; at < size; ++at) {
    file[at] ^= 0x20;
    EXPECT(gru_file_describe(file, size, &info) != GRU_OK && gru_file_pack(file, size, packed, info.packed_size) != GRU_OK);
    file[at] ^= 0x20;
  }
  EXPECT(gru_file_describe(file, size, NULL) == GRU_ERROR_NULL && gru_file_describe(NULL, size, &info) == GRU_ERROR_NULL);
  EXPECT(gru_file_describe(file + 1, size - 1, &info) == GRU_ERROR_ALIGNMENT);
  EXPECT(gru_file_describe(file, size + 4, &info) == GRU_ERROR_FILE_SIZE);
  EXPECT(gru_file_pack(file, size, packed, info.packed_size - 1) == GRU_ERROR_MEMORY);
  free(packed);
  free(file);
}

static void check_messages(void) {
  for (int code = -1; code < 40; ++code) EXPECT(gru_error_string(code) != NULL && *gru_error_string(code) != 0);
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  fill(w_ih, ROWS * I);
  fill(w_hh, ROWS * H);
  fill(b_ih, ROWS);
  fill(b_hh, ROWS);
  check_packing();
  check_stacks();
  check_files(argv[1]);
  check_messages();
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
