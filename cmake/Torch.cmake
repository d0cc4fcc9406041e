# Imported targets for the libtorch inside the PyPI wheel. The wheel's own CMake package wants a CUDA
# toolkit even for a CPU build; linking the libraries directly does not.
#
# attune_torch: torch and ATen headers as SYSTEM, libtorch_cpu and libc10. The wheel also ships old
# protobuf headers on the same path, so no target that uses gRPC or protobuf may link attune_torch.

set(ATTUNE_WHEELS_DIR "${ATTUNE_DEPS_DIR}/python")
if(NOT EXISTS "${ATTUNE_WHEELS_DIR}/torch/include/torch/csrc/api/include/torch/torch.h")
  message(FATAL_ERROR "libtorch is not in ${ATTUNE_WHEELS_DIR}: run tools/setup first")
endif()

set(_torch_lib "${ATTUNE_WHEELS_DIR}/torch/lib")
set(_cuda_lib "${ATTUNE_WHEELS_DIR}/nvidia/cu13/lib")

add_library(attune_torch INTERFACE)
target_include_directories(attune_torch SYSTEM INTERFACE
  "${ATTUNE_WHEELS_DIR}/torch/include"
  "${ATTUNE_WHEELS_DIR}/torch/include/torch/csrc/api/include")
target_compile_definitions(attune_torch INTERFACE USE_DISTRIBUTED USE_C10D_GLOO)
target_link_options(attune_torch INTERFACE
  "LINKER:-rpath,${_torch_lib}" "LINKER:-rpath,${_cuda_lib}" "LINKER:-rpath-link,${_cuda_lib}")
target_link_libraries(attune_torch INTERFACE
  -Wl,--no-as-needed "${_torch_lib}/libtorch_cpu.so" "${_torch_lib}/libc10.so" -Wl,--as-needed)
