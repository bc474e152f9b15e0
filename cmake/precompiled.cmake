# Precompiled headers, for builds from nothing (BRIM_PRECOMPILED: the gate, tsan and fuzz presets).
#
# What nearly every file reads, libraries' headers only, is read once: for modules that link
# fmt_static, and for their unit tests. A file that forgets one of these includes compiles here, so
# the dev and release builds go without: they find it.
set(precompiled_std algorithm array atomic chrono cmath cstddef cstdint cstring deque functional
    limits map memory mutex optional random set span string string_view thread unordered_map
    utility vector)
list(TRANSFORM precompiled_std REPLACE "(.+)" "<\\1>")

# The headers belong to targets with nothing else in them; brim_precompile() lends them out. Two,
# because an executable's code model is not a library's.
function(brim_precompiled_owner target)
  target_compile_options(${target} PRIVATE ${BRIM_WARNINGS})
  target_precompile_headers(${target} PRIVATE ${precompiled_std} <fmt/format.h> ${ARGN})
endfunction()

set(CMAKE_PCH_INSTANTIATE_TEMPLATES OFF)  # Costs Clang more than it saves here.
if(BRIM_PRECOMPILED)
  add_library(precompiled OBJECT ${CMAKE_BINARY_DIR}/empty_main.cc)
  brim_precompiled_owner(precompiled)
  if(BRIM_TESTS)
    add_executable(precompiled_test EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/empty_main.cc)
    target_link_libraries(precompiled_test PRIVATE GTest::gtest)
    brim_precompiled_owner(precompiled_test <filesystem> <fstream> <gtest/gtest.h>)
  endif()
endif()

# brim_precompile(TARGET OWNER LIBS...): TARGET, which links LIBS, takes OWNER's headers.
function(brim_precompile target owner)
  if(BRIM_PRECOMPILED AND "fmt_static" IN_LIST ARGN)
    target_precompile_headers(${target} REUSE_FROM ${owner})
  endif()
endfunction()
