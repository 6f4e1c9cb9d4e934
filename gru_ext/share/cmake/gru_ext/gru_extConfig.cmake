# Finds gru_ext for C++ programs:
#
#   find_package(gru_ext REQUIRED COMPONENTS ops)
#   target_link_libraries(app PRIVATE gru_ext::ops)
#
# The component stream gives gru_ext::stream, for C too, and needs no libtorch.
#
# One file serves both ways to install, because it finds everything relative to itself: in the Python package, whose
# gru_ext.cmake_prefix_path() belongs in CMAKE_PREFIX_PATH, and under the prefix of `cmake --install`.
# A component is a file gru_ext-<component>.cmake beside this one; it sets gru_ext_<component>_FOUND, or says why not.

get_filename_component(gru_ext_ROOT_DIR "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
if(NOT gru_ext_FIND_COMPONENTS)
  set(gru_ext_FIND_COMPONENTS ops)
  set(gru_ext_FIND_REQUIRED_ops TRUE)
endif()

set(gru_ext_FOUND TRUE)
foreach(_component IN LISTS gru_ext_FIND_COMPONENTS)
  set(gru_ext_${_component}_FOUND FALSE)
  include("${CMAKE_CURRENT_LIST_DIR}/gru_ext-${_component}.cmake" OPTIONAL RESULT_VARIABLE _known)
  if(NOT _known)
    file(GLOB _all RELATIVE "${CMAKE_CURRENT_LIST_DIR}" "${CMAKE_CURRENT_LIST_DIR}/gru_ext-*.cmake")
    list(TRANSFORM _all REPLACE "gru_ext-(.*)[.]cmake" "\\1")
    list(JOIN _all ", " _all)
    set(_why_not "gru_ext has no component '${_component}' (it has: ${_all})")
  endif()
  if(gru_ext_FIND_REQUIRED_${_component} AND NOT gru_ext_${_component}_FOUND)
    set(gru_ext_FOUND FALSE)
    set(gru_ext_NOT_FOUND_MESSAGE "${_why_not}")
  endif()
endforeach()
unset(_component)
unset(_known)
unset(_why_not)
unset(_all)
