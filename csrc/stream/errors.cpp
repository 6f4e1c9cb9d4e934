#include "gru_ext/stream.h"

const char* gru_error_string(int code) {
  switch (code) {
    case GRU_OK:
      return "no error";
    case GRU_ERROR_NULL:
      return "a pointer is NULL that may not be: only biases may";
    case GRU_ERROR_SIZE:
      return "input_size and hidden_size must be from 1 to GRU_MAX_SIZE";
    case GRU_ERROR_LAYERS:
      return "num_layers must be from 1 to GRU_MAX_LAYERS, and the input_size of a layer the hidden_size of the one below";
    case GRU_ERROR_TYPE:
      return "the weight type must be GRU_F32, GRU_BF16 or GRU_INT8";
    case GRU_ERROR_VARIANT:
      return "reset_before must be 0 or 1";
    case GRU_ERROR_MEMORY:
      return "the memory is smaller than needed: ask gru_packed_size or gru_stack_packed_size on this machine";
    case GRU_ERROR_ALIGNMENT:
      return "the memory is not aligned: packed weights and scratch need GRU_ALIGNMENT bytes, a .gru file 4";
    case GRU_ERROR_NOT_FINITE:
      return "a weight is infinite or not a number, which int8 cannot hold";
    case GRU_ERROR_ISA:
      return "GRU_EXT_ISA must be default, avx2, avx512, avx512_vnni_bf16 or amx_bf16";
    case GRU_ERROR_NOT_PACKED:
      return "these are not packed weights of this version of gru_ext, or not all of them";
    case GRU_ERROR_MACHINE:
      return "the weights were packed for an instruction set that this processor does not have: pack them again here";
    case GRU_ERROR_OPEN:
      return "the file cannot be opened: errno says why";
    case GRU_ERROR_READ:
      return "the file cannot be read, or there is no memory for it";
    case GRU_ERROR_WRITE:
      return "the file cannot be written";
    case GRU_ERROR_NOT_GRU:
      return "this is not a .gru file, or one that a transfer as text has changed";
    case GRU_ERROR_VERSION:
      return "the .gru file is of a version that this gru_ext does not know";
    case GRU_ERROR_FILE_SIZE:
      return "the .gru file is truncated, or longer than its header says";
    case GRU_ERROR_CHECKSUM:
      return "the .gru file is damaged: its checksum is another";
    case GRU_ERROR_FIELD:
      return "a field of the .gru file has a value that it cannot have";
    default:
      return "not a code of gru_ext";
  }
}
