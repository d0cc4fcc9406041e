# Rust libraries, built by cargo: attune_rust_library(NAME FOLDER folder LIBRARY file [BOOTSTRAP crate]) makes an imported
# target. BOOTSTRAP: the one crate that may use unstable features of Rust; those that it depends on may not.
#
# Cargo works in one folder shared by all build trees, since the crates are the same for all of them; the
# library is then copied into this build tree. Sources decide whether cargo runs at all.

set(ATTUNE_CARGO_TARGET_DIR "${ATTUNE_DEPS_DIR}/cargo-target" CACHE PATH "Where cargo builds")
find_program(ATTUNE_CARGO cargo HINTS "$ENV{HOME}/.cargo/bin")
if(NOT ATTUNE_CARGO)
  message(FATAL_ERROR "cargo (1.80 or newer) is not on the PATH: install Rust from https://rustup.rs")
endif()
execute_process(COMMAND "${ATTUNE_CARGO}" --version OUTPUT_VARIABLE _cargo_version)
string(REGEX MATCH "[0-9]+\\.[0-9]+" _cargo_version "${_cargo_version}")
if(_cargo_version VERSION_LESS "1.80")
  message(FATAL_ERROR "cargo ${_cargo_version} is too old, 1.80 or newer is needed: install Rust from "
                      "https://rustup.rs")
endif()

function(attune_rust_library name)
  cmake_parse_arguments(ARG "" "FOLDER;LIBRARY;BOOTSTRAP" "" ${ARGN})
  set(_library "${CMAKE_BINARY_DIR}/rust/${ARG_LIBRARY}")
  set(_environment)
  if(ARG_BOOTSTRAP)
    set(_environment "${CMAKE_COMMAND}" -E env "RUSTC_BOOTSTRAP=${ARG_BOOTSTRAP}")
  endif()
  file(GLOB_RECURSE _sources CONFIGURE_DEPENDS "${ARG_FOLDER}/src/*.rs")
  add_custom_command(OUTPUT "${_library}"
    COMMAND ${_environment} "${ATTUNE_CARGO}" build --release --locked --quiet -j2
            --manifest-path "${ARG_FOLDER}/Cargo.toml" --target-dir "${ATTUNE_CARGO_TARGET_DIR}"
    COMMAND "${CMAKE_COMMAND}" -E copy "${ATTUNE_CARGO_TARGET_DIR}/release/${ARG_LIBRARY}" "${_library}"
    DEPENDS ${_sources} "${ARG_FOLDER}/Cargo.toml" "${ARG_FOLDER}/Cargo.lock"
    COMMENT "Building ${ARG_LIBRARY} with cargo" VERBATIM)
  add_custom_target(${name}_build DEPENDS "${_library}")
  file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/rust")
  add_library(${name} STATIC IMPORTED GLOBAL)
  set_target_properties(${name} PROPERTIES IMPORTED_LOCATION "${_library}")
  target_link_libraries(${name} INTERFACE Threads::Threads ${CMAKE_DL_LIBS} m)
  add_dependencies(${name} ${name}_build)
endfunction()
