# Finds the C++ libraries of a PyTorch installation; defines the target LibTorch::LibTorch, LibTorch_VERSION, and LibTorch_CUDA:
# whether PyTorch was built with CUDA.
#
# PyTorch's own find_package(Torch) is not used because, where PyTorch was built with CUDA, it stops unless a CUDA toolkit
# with nvcc is installed too, although a program needs none to run. Both name the same libraries, so a project may use both.
#
# Searched: LibTorch_HINTS, and CMAKE_PREFIX_PATH, which may hold a libtorch folder or torch.utils.cmake_prefix_path.

set(_roots ${LibTorch_HINTS})
foreach(_prefix IN LISTS CMAKE_PREFIX_PATH)
  list(APPEND _roots "${_prefix}" "${_prefix}/../..")
endforeach()
find_path(LibTorch_INCLUDE_DIR torch/headeronly/version.h HINTS ${_roots} PATH_SUFFIXES include)
get_filename_component(_lib "${LibTorch_INCLUDE_DIR}/../lib" ABSOLUTE)
foreach(_name torch torch_cpu c10 torch_cuda c10_cuda)
  find_library(LibTorch_${_name}_LIBRARY ${_name} HINTS "${_lib}" NO_DEFAULT_PATH)
endforeach()

set(LibTorch_CUDA FALSE)
if(LibTorch_torch_cuda_LIBRARY AND LibTorch_c10_cuda_LIBRARY)
  set(LibTorch_CUDA TRUE)
endif()

if(LibTorch_INCLUDE_DIR)
  file(STRINGS "${LibTorch_INCLUDE_DIR}/torch/headeronly/version.h" LibTorch_VERSION REGEX "^  \"[0-9.]+\"")
  string(REGEX REPLACE "[ \"]" "" LibTorch_VERSION "${LibTorch_VERSION}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  LibTorch
  REQUIRED_VARS LibTorch_INCLUDE_DIR LibTorch_torch_LIBRARY LibTorch_torch_cpu_LIBRARY LibTorch_c10_LIBRARY
  VERSION_VAR LibTorch_VERSION
)

if(LibTorch_FOUND AND NOT TARGET LibTorch::LibTorch)
  add_library(LibTorch::LibTorch INTERFACE IMPORTED)
  target_include_directories(
    LibTorch::LibTorch INTERFACE "${LibTorch_INCLUDE_DIR}" "${LibTorch_INCLUDE_DIR}/torch/csrc/api/include"
  )
  target_link_libraries(LibTorch::LibTorch INTERFACE "${LibTorch_torch_cpu_LIBRARY}" "${LibTorch_c10_LIBRARY}")
  # libtorch.so holds no code: it pulls in the library of the accelerator, if PyTorch was built for one.
  include("${CMAKE_CURRENT_LIST_DIR}/KeepLibrary.cmake")
  keep_library(LibTorch::LibTorch "${LibTorch_torch_LIBRARY}")
  if(LibTorch_CUDA)
    # By name as well, for an op library with CUDA kernels: the system's loader would not look for them here on its behalf.
    keep_library(LibTorch::LibTorch "${LibTorch_c10_cuda_LIBRARY}")
    keep_library(LibTorch::LibTorch "${LibTorch_torch_cuda_LIBRARY}")
  endif()
endif()
unset(_roots)
unset(_prefix)
unset(_lib)
unset(_name)
