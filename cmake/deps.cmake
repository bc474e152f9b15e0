# Third-party parts. Everything is pinned in deps/; static archives wherever they exist, so that a
# runtime plugin's bundled copies can never bind to the host's.
set(BRIM_DEPS ${PROJECT_SOURCE_DIR}/.deps)
foreach(part highs llhttp simdjson)
  if(NOT IS_DIRECTORY ${BRIM_DEPS}/${part})
    message(FATAL_ERROR "${BRIM_DEPS}/${part} is missing: run `deps/fetch build` first.")
  endif()
endforeach()

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  if(BRIM_PRECOMPILED)  # Without it ccache leaves alone whatever uses a precompiled header.
    set(CCACHE env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
  endif()
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
set(OPENSSL_USE_STATIC_LIBS ON)
find_package(OpenSSL REQUIRED)

# A static archive that Debian ships beside the shared object; the shared one is never taken.
function(brim_static_archive target archive header)
  find_library(${target}_ARCHIVE NAMES ${archive} REQUIRED)
  find_path(${target}_INCLUDE NAMES ${header} REQUIRED)
  add_library(${target} STATIC IMPORTED GLOBAL)
  set_target_properties(${target} PROPERTIES IMPORTED_LOCATION ${${target}_ARCHIVE}
                        INTERFACE_INCLUDE_DIRECTORIES ${${target}_INCLUDE})
endfunction()
brim_static_archive(nghttp2 libnghttp2.a nghttp2/nghttp2.h)
target_compile_definitions(nghttp2 INTERFACE NGHTTP2_STATICLIB)
brim_static_archive(zlib_static libz.a zlib.h)
brim_static_archive(csv_static libcsv.a csv.h)

# fmt: Debian ships headers and a shared object, no archive; the archive is made from the headers.
add_library(fmt_static STATIC ${PROJECT_SOURCE_DIR}/cmake/fmt.cc)
# llhttp (HTTP/1.1 parser, C) and simdjson (JSON parser): one translation unit or three each.
add_library(llhttp STATIC ${BRIM_DEPS}/llhttp/src/api.c ${BRIM_DEPS}/llhttp/src/http.c
            ${BRIM_DEPS}/llhttp/src/llhttp.c)
target_include_directories(llhttp SYSTEM PUBLIC ${BRIM_DEPS}/llhttp/include)
add_library(simdjson STATIC ${BRIM_DEPS}/simdjson/simdjson.cpp)
target_include_directories(simdjson SYSTEM PUBLIC ${BRIM_DEPS}/simdjson)
target_compile_definitions(simdjson PUBLIC SIMDJSON_EXCEPTIONS=0)
if(CMAKE_BUILD_TYPE STREQUAL "Debug")
  target_compile_options(simdjson PRIVATE -O2)
  target_compile_options(llhttp PRIVATE -O2)
endif()
# HiGHS (LP solver): deps/fetch compiled it; only its C interface is used.
add_library(highs STATIC IMPORTED GLOBAL)
set_target_properties(highs PROPERTIES IMPORTED_LOCATION ${BRIM_DEPS}/highs/lib/libhighs.a
                      INTERFACE_INCLUDE_DIRECTORIES ${BRIM_DEPS}/highs/include
                      INTERFACE_LINK_LIBRARIES "Threads::Threads;${CMAKE_DL_LIBS}")
# protozero is header-only (Debian libprotozero-dev).
find_path(PROTOZERO_INCLUDE NAMES protozero/pbf_reader.hpp REQUIRED)
add_library(protozero INTERFACE)
target_include_directories(protozero SYSTEM INTERFACE ${PROTOZERO_INCLUDE})
# CLI11 is header-only (Debian libcli11-dev).
find_path(CLI11_INCLUDE NAMES CLI/CLI.hpp REQUIRED)
add_library(cli11 INTERFACE)
target_include_directories(cli11 SYSTEM INTERFACE ${CLI11_INCLUDE})

if(BRIM_TESTS)
  find_package(GTest REQUIRED)
endif()
