// `__shared__` variables are the only thread-local variables of a program that is linked with this: sanitizers and the standard
// library have theirs in libraries of their own. So they are found together, as the thread-local segment of the program.
#include "poison.h"

#include <link.h>

#include <cstring>

namespace cuda_on_cpu {
namespace {

// The first object that is named is the program.
int poison_program(dl_phdr_info* object, size_t, void*) {
  for (int i = 0; i < object->dlpi_phnum; ++i)
    if (object->dlpi_phdr[i].p_type == PT_TLS && object->dlpi_tls_data != nullptr)
      std::memset(object->dlpi_tls_data, 0xff, object->dlpi_phdr[i].p_memsz);
  return 1;
}

}  // namespace

void poison_shared_memory() { dl_iterate_phdr(poison_program, nullptr); }

}  // namespace cuda_on_cpu
