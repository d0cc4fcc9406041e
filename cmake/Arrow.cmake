# Imported targets for Arrow C++ inside the PyPI wheel of pyarrow: attune_arrow (codecs, columns), attune_arrow_s3 (its S3
# client) and attune_parquet.
include_guard(GLOBAL)

set(_arrow "${ATTUNE_DEPS_DIR}/python/pyarrow")

function(_attune_arrow_library name file)
  set(library "${_arrow}/lib${file}.so.2600")
  if(NOT EXISTS "${library}")
    message(FATAL_ERROR "${library} is missing: run tools/setup first")
  endif()
  add_library(${name} INTERFACE)
  target_include_directories(${name} SYSTEM INTERFACE "${_arrow}/include")
  target_link_libraries(${name} INTERFACE ${ARGN} "${library}")
  target_link_options(${name} INTERFACE "LINKER:-rpath,${_arrow}")
endfunction()

_attune_arrow_library(attune_arrow arrow)
_attune_arrow_library(attune_arrow_s3 arrow_s3 attune_arrow)
_attune_arrow_library(attune_parquet parquet attune_arrow)
