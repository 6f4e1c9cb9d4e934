/* A GRU in a C program: rows of numbers in, states out, one step a line. No C++ and no libtorch in the process.
 *
 *   gru_steps MODEL.gru < inputs.txt
 *
 * MODEL.gru   what gru_ext.save_stream writes
 * standard input: input_size numbers for each step, separated by white space
 * standard output: a line with the output_size numbers of the last layer's state after each step
 */
#include <gru_ext/stream.h>
#include <stdio.h>
#include <stdlib.h>

/* Zeros; the program ends where there is no memory. Sizes and GRU_ALIGNMENT go together as aligned_alloc wants them. */
static void* zeros(size_t size) {
  const size_t whole = (size + GRU_ALIGNMENT - 1) / GRU_ALIGNMENT * GRU_ALIGNMENT;
  unsigned char* memory = aligned_alloc(GRU_ALIGNMENT, whole);
  if (memory == NULL) {
    fprintf(stderr, "no memory for %zu bytes\n", whole);
    exit(1);
  }
  for (size_t i = 0; i < whole; ++i) memory[i] = 0;
  return memory;
}

/* How many of the numbers of a step could be read: all of them, or fewer at the end or before what is no number. */
static int64_t read_step(float* x, int64_t count) {
  int64_t i = 0;
  while (i < count && scanf("%f", &x[i]) == 1) ++i;
  return i;
}

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: %s MODEL.gru < inputs.txt\n", argv[0]);
    return 2;
  }
  void* packed;
  const int code = gru_load(argv[1], &packed);
  if (code != GRU_OK) {
    fprintf(stderr, "%s: %s\n", argv[1], gru_error_string(code));
    return 1;
  }
  const gru_info info = gru_describe(packed);
  fprintf(stderr, "%lld inputs, %lld outputs, %lld layers, level %s\n", (long long)info.input_size, (long long)info.output_size,
          (long long)info.num_layers, info.level);

  /* All memory of a stream. From here on a program with a deadline calls gru_step and nothing else. */
  float* x = zeros((size_t)info.input_size * sizeof *x);
  float* h = zeros((size_t)info.state_size * sizeof *h);
  void* scratch = zeros(gru_scratch_size(packed));
  const float* output = h + info.state_size - info.output_size;

  int64_t got;
  while ((got = read_step(x, info.input_size)) == info.input_size) {
    gru_step(packed, x, h, scratch);
    for (int64_t i = 0; i < info.output_size; ++i) printf("%s%.9g", i == 0 ? "" : " ", output[i]);
    printf("\n");
  }
  const int complete = got == 0 && feof(stdin);
  if (!complete) fprintf(stderr, "expected %lld numbers for a step, got %lld\n", (long long)info.input_size, (long long)got);
  free(scratch);
  free(h);
  free(x);
  gru_free(packed);
  return complete ? 0 : 1;
}
