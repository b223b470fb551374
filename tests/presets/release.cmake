# cmake -C tests/presets/release.cmake -B build/release -G Ninja
set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "")
set(LTO ON CACHE BOOL "")
