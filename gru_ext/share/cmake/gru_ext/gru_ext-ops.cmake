# gru_ext::ops: the op library, for C++ programs on libtorch. Included by gru_extConfig.cmake.

set(_library "${gru_ext_ROOT_DIR}/lib/libgru_ext_ops.so")

# What the library was built with: setup.py writes it to the root of the package, CMake beside this file.
find_file(_record build.json PATHS "${gru_ext_ROOT_DIR}" "${CMAKE_CURRENT_LIST_DIR}" NO_DEFAULT_PATH NO_CACHE)
if(_record)
  file(READ "${_record}" _json)
  string(JSON _built_for ERROR_VARIABLE _ignored GET "${_json}" torch)
  string(JSON _cuda ERROR_VARIABLE _ignored GET "${_json}" cuda)
endif()

list(PREPEND CMAKE_MODULE_PATH "${CMAKE_CURRENT_LIST_DIR}")
set(LibTorch_HINTS "${gru_ext_ROOT_DIR}/../torch")  # where pip puts the two packages side by side
find_package(LibTorch QUIET MODULE)
list(POP_FRONT CMAKE_MODULE_PATH)

string(REGEX MATCH "^[0-9]+[.][0-9]+[.]" _minor "${_built_for}")
if(NOT EXISTS "${_library}")
  set(_why_not "this gru_ext has no compiled op library: `python -m gru_ext.info` says why")
elseif(NOT LibTorch_FOUND)
  set(_why_not "gru_ext needs libtorch: add what `python -c 'import torch; print(torch.utils.cmake_prefix_path)'` prints to CMAKE_PREFIX_PATH")
elseif(NOT "${LibTorch_VERSION}" MATCHES "^${_minor}")
  set(_why_not "gru_ext was built for torch ${_built_for} but torch ${LibTorch_VERSION} was found: reinstall gru_ext, or name the other torch in CMAKE_PREFIX_PATH")
elseif(_cuda AND NOT LibTorch_CUDA)
  set(_why_not "gru_ext was built with CUDA ${_cuda} but a torch without CUDA was found: reinstall gru_ext, or name the other torch in CMAKE_PREFIX_PATH")
else()
  set(gru_ext_ops_FOUND TRUE)
endif()

if(gru_ext_ops_FOUND AND NOT TARGET gru_ext::ops)
  add_library(gru_ext::ops SHARED IMPORTED)
  set_target_properties(gru_ext::ops PROPERTIES IMPORTED_LOCATION "${_library}")
  target_include_directories(gru_ext::ops INTERFACE "${gru_ext_ROOT_DIR}/include")
  target_compile_features(gru_ext::ops INTERFACE cxx_std_17)
  include("${CMAKE_CURRENT_LIST_DIR}/KeepLibrary.cmake")
  target_link_libraries(gru_ext::ops INTERFACE LibTorch::LibTorch)
  keep_library(gru_ext::ops "${_library}")
endif()
