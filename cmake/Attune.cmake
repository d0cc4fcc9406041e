# What every target of the project shares: the language, the warnings, and the three commands
# attune_library, attune_program and attune_test that the folders use.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
# Asserts of invariants stay on in every build type.
set(CMAKE_CXX_FLAGS_RELEASE "-O2")
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g")

find_package(Threads REQUIRED)
find_program(ATTUNE_LLD NAMES ld.lld-16 ld.lld)

add_library(attune_options INTERFACE)
target_compile_options(attune_options INTERFACE
  -Wall -Wextra -Wno-unused-parameter -Werror=return-type
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety -Werror=thread-safety -Werror=unused-result>)
target_include_directories(attune_options INTERFACE "${PROJECT_SOURCE_DIR}")
target_link_libraries(attune_options INTERFACE Threads::Threads)
if(ATTUNE_LLD)
  target_link_options(attune_options INTERFACE "--ld-path=${ATTUNE_LLD}")
endif()
if(ATTUNE_SANITIZER)
  target_compile_options(attune_options INTERFACE
    "-fsanitize=${ATTUNE_SANITIZER}" -fno-sanitize=vptr -fno-omit-frame-pointer)  # SOCI hides its typeinfo
  target_link_options(attune_options INTERFACE "-fsanitize=${ATTUNE_SANITIZER}")
  if(ATTUNE_SANITIZER MATCHES "address" AND CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    # Lets the fuzz targets see which branches of the libraries an input takes.
    target_compile_options(attune_options INTERFACE -fsanitize=fuzzer-no-link)
    target_link_options(attune_options INTERFACE -fsanitize=fuzzer-no-link)
  endif()
endif()

# attune_library(NAME SOURCES a.cc b.cc [DEPS targets...])
# One per folder. DEPS are public: what the folder's headers need.
function(attune_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC attune_options ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
endfunction()

# attune_program(NAME SOURCES main.cc [DEPS targets...])
function(attune_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  # Modules that are loaded when needed lie beside the program.
  set_target_properties(${name} PROPERTIES BUILD_RPATH "$ORIGIN")
  target_link_libraries(${name} PRIVATE attune_options ${ARG_DEPS})
endfunction()

# attune_test(NAME SOURCES a_test.cc [DEPS targets...] [TIMEOUT seconds] [LABELS labels...])
# A GoogleTest program, run by ctest from the source folder. LABELS: unit (default), parity, cluster.
function(attune_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  add_executable(${name} ${ARG_SOURCES} "${PROJECT_SOURCE_DIR}/tests/support/report_crashes.cc")
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  target_link_libraries(${name} PRIVATE attune_options ${ARG_DEPS} attune_base GTest::gmock GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  # Tests share the cores: OpenMP threads must not spin for long, as in trainers (worker/agent/environment.cc).
  # ThreadSanitizer does not see how Debian's gRPC synchronises, so it must not judge what that calls.
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}"
    ENVIRONMENT "GOMP_SPINCOUNT=1000;TSAN_OPTIONS=ignore_noninstrumented_modules=1")
endfunction()

# attune_fuzzer(NAME SOURCES a_fuzz.cc [DEPS targets...])
# A libFuzzer target under the asan preset; in other builds it is skipped. As a test it runs the inputs of
# tests/fuzz/corpus/NAME and new ones for some seconds; run it by hand with -max_total_time for longer.
function(attune_fuzzer name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  if(ATTUNE_SANITIZER MATCHES "address")
    add_executable(${name} ${ARG_SOURCES})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/fuzz")
    target_link_libraries(${name} PRIVATE attune_options ${ARG_DEPS})
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/fuzz/new/${name}")
    set(corpus "${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name}")
    if(NOT EXISTS "${corpus}")
      set(corpus)
    endif()
    add_test(NAME ${name}
      COMMAND ${name} -max_total_time=10 -timeout=10 -rss_limit_mb=4096 -print_final_stats=0 -verbosity=0
              "${CMAKE_BINARY_DIR}/fuzz/new/${name}" ${corpus})
    set_tests_properties(${name} PROPERTIES TIMEOUT 120 LABELS fuzz)
  endif()
endfunction()
