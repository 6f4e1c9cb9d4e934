# keep_library(<target> <file>): whoever links <target> keeps the shared library <file>, even if nothing refers to it.
#
# Ops register themselves when their library is loaded. A program that only loads TorchScript models names no symbol of the
# library, and a linker that runs with --as-needed, as on many distributions, then drops it: "Unknown builtin op".
# --push-state confines the remedy to this one library. Other platforms' linkers keep what they are given.
function(keep_library target file)
  target_link_libraries(${target} INTERFACE "$<$<PLATFORM_ID:Linux>:-Wl,--push-state,--no-as-needed,${file},--pop-state>")
endfunction()
