# gru_ext::stream: the torch-free library, for C and C++ programs. Included by gru_extConfig.cmake.

set(_library "${gru_ext_ROOT_DIR}/lib/libgru_ext_stream.a")

if(EXISTS "${_library}")
  set(gru_ext_stream_FOUND TRUE)
else()
  set(_why_not "this gru_ext has no compiled stream library, ${_library}: reinstall gru_ext where there is a C++ compiler")
endif()

if(gru_ext_stream_FOUND AND NOT TARGET gru_ext::stream)
  add_library(gru_ext::stream STATIC IMPORTED)
  # It needs no C++ runtime, so a C program may be linked by the C compiler.
  set_target_properties(gru_ext::stream PROPERTIES IMPORTED_LOCATION "${_library}" IMPORTED_LINK_INTERFACE_LANGUAGES C)
  target_include_directories(gru_ext::stream INTERFACE "${gru_ext_ROOT_DIR}/include")
  target_link_libraries(gru_ext::stream INTERFACE m)
endif()
