# Kernels for the host: semgen_simulated_kernels(target files.cu...) adds them to a target, compiled so that the
# simulator sees their accesses to memory. The instrumentation is ThreadSanitizer's; its library is not linked: the
# functions it calls are the simulator's own (hooks.cpp). Passes that would join or reorder accesses stay off, so that
# what is counted is what the kernel says.
set(SEMGEN_KERNEL_OPTIONS
  -x c++ -fsanitize=thread -fsanitize=bounds -O2 -g1 -fno-tree-vectorize -fno-tree-slp-vectorize -fno-store-merging
  -fno-tree-loop-distribute-patterns -fno-strict-aliasing -ffp-contract=off -Wno-unknown-pragmas -Wno-unused-function)

function(semgen_simulated_kernels target)
  set_source_files_properties(${ARGN} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "${SEMGEN_KERNEL_OPTIONS}")
  target_sources(${target} PRIVATE ${ARGN})
endfunction()

file(GLOB SEMGEN_SIMULATOR_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.cpp)
# -g1: the lines and names that messages give. -O2: -O3 makes these no faster.
set_source_files_properties(${SEMGEN_SIMULATOR_SOURCES} PROPERTIES COMPILE_OPTIONS "-O2;-g1")
file(GLOB SEMGEN_SIMULATOR_TESTS CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/test/simulator/*.cu)

# The simulator's own tests: a program that lists its cases, or runs one.
add_executable(simulator-tests ${SEMGEN_SIMULATOR_SOURCES})
semgen_simulated_kernels(simulator-tests ${SEMGEN_SIMULATOR_TESTS})
target_include_directories(simulator-tests PRIVATE ${CMAKE_SOURCE_DIR})
target_compile_definitions(simulator-tests PRIVATE SEMGEN_SIMULATOR)
target_compile_options(simulator-tests PRIVATE -Wall -Wextra -ffp-contract=off)
target_link_libraries(simulator-tests PRIVATE Threads::Threads ${CMAKE_DL_LIBS})
