# brim_module(NAME
#   SOURCES a.cc ...       compiled into the static library brim_NAME
#   HEADERS a.h ...        public headers; each is compiled first in its .cc or else alone, so each
#                          includes what it needs
#   DEPS base model ...    Brim modules this one may use: the whole list, enforced by the linker
#   LIBS ZLIB::ZLIB ...    third-party targets
#   TESTS a_test.cc ...    one gtest executable NAME_test
#   TEST_LIBS ...          third-party or helper targets for the tests alone
#   FUZZERS a_fuzz.cc ...  one libFuzzer executable each; seed corpus in a_fuzz_corpus/ beside it)
#
# link_NAME is an empty main linked with the whole archive and only DEPS and LIBS: an upward or
# undeclared call is an undefined reference in a plain build.
include(GoogleTest)

file(WRITE ${CMAKE_BINARY_DIR}/empty_main.cc "int main() { return 0; }\n")
add_custom_target(link_tests)
add_custom_target(fuzzers)
add_custom_target(unit_tests)

set(BRIM_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
    -Wnon-virtual-dtor -Woverloaded-virtual -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  list(APPEND BRIM_WARNINGS -Wthread-safety -Wno-shorten-64-to-32 -Wno-implicit-int-float-conversion)
endif()

include(cmake/precompiled.cmake)

# Headers of this folder that no source of theirs reads before anything else, in NAME of the caller.
# The others need no compilation of their own: their source is one, where nothing is precompiled.
function(brim_headers_alone name sources)
  set(alone)
  foreach(header ${ARGN})
    string(REGEX REPLACE "[.]h$" ".cc" source ${header})
    set(first)
    if(NOT BRIM_PRECOMPILED AND source IN_LIST sources)
      file(STRINGS ${source} first LIMIT_COUNT 1 REGEX "^#include ")
    endif()
    file(RELATIVE_PATH path ${PROJECT_SOURCE_DIR}/src ${CMAKE_CURRENT_SOURCE_DIR}/${header})
    if(NOT first STREQUAL "#include \"${path}\"")
      list(APPEND alone ${header})
    endif()
  endforeach()
  set(${name} ${alone} PARENT_SCOPE)
endfunction()

function(brim_module name)
  cmake_parse_arguments(M "" "" "SOURCES;HEADERS;DEPS;LIBS;TESTS;TEST_LIBS;FUZZERS" ${ARGN})
  if(M_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "brim_module(${name}): unknown words ${M_UNPARSED_ARGUMENTS}")
  endif()
  string(REPLACE "/" "_" id ${name})
  set(lib brim_${id})
  add_library(${lib} STATIC ${M_SOURCES})
  target_include_directories(${lib} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_compile_options(${lib} PRIVATE ${BRIM_WARNINGS})
  brim_headers_alone(alone "${M_SOURCES}" ${M_HEADERS})
  set(in_source ${M_HEADERS})
  list(REMOVE_ITEM in_source ${alone})
  target_sources(${lib} PUBLIC
    FILE_SET in_source TYPE HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/src FILES ${in_source}
    FILE_SET alone TYPE HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/src FILES ${alone})
  set_target_properties(${lib} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON LINKER_LANGUAGE CXX
                        INTERFACE_HEADER_SETS_TO_VERIFY alone)
  brim_precompile(${lib} precompiled ${M_LIBS})
  set(dep_libs)
  foreach(dep ${M_DEPS})
    string(REPLACE "/" "_" dep_id ${dep})
    list(APPEND dep_libs brim_${dep_id})
  endforeach()
  target_link_libraries(${lib} PUBLIC ${dep_libs} ${M_LIBS})

  add_executable(link_${id} ${CMAKE_BINARY_DIR}/empty_main.cc)
  target_link_libraries(link_${id} PRIVATE -Wl,--whole-archive $<TARGET_FILE:${lib}>
                        -Wl,--no-whole-archive ${dep_libs} ${M_LIBS})
  add_dependencies(link_${id} ${lib})
  add_dependencies(link_tests link_${id})

  if(BRIM_TESTS AND M_TESTS)
    add_executable(${id}_test ${M_TESTS})
    target_compile_options(${id}_test PRIVATE ${BRIM_WARNINGS})
    target_link_libraries(${id}_test PRIVATE ${lib} ${M_TEST_LIBS} GTest::gtest_main)
    brim_precompile(${id}_test precompiled_test ${M_LIBS})
    add_test(NAME ${id}_test COMMAND ${id}_test)
    set_tests_properties(${id}_test PROPERTIES TIMEOUT 300 LABELS unit)
    add_dependencies(unit_tests ${id}_test)
  endif()
  if(BRIM_FUZZ)
    foreach(fuzzer ${M_FUZZERS})
      get_filename_component(stem ${fuzzer} NAME_WE)
      add_executable(${stem} ${fuzzer})
      target_link_libraries(${stem} PRIVATE ${lib})
      target_link_options(${stem} PRIVATE -fsanitize=fuzzer)
      add_dependencies(fuzzers ${stem})
      set(corpus ${CMAKE_CURRENT_SOURCE_DIR}/${stem}_corpus)
      set(work ${CMAKE_BINARY_DIR}/corpus/${stem})
      file(MAKE_DIRECTORY ${work})
      add_test(NAME ${stem} COMMAND ${stem} -max_total_time=5 -timeout=10 -rss_limit_mb=2048
               ${work} $<$<BOOL:$<PATH:HAS_FILENAME,${corpus}>>:${corpus}>)
      set_tests_properties(${stem} PROPERTIES TIMEOUT 120 LABELS fuzz)
    endforeach()
  endif()
endfunction()
