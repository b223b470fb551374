# cmake -C tests/presets/fuzz.cmake -B build/fuzz -G Ninja
set(CMAKE_C_COMPILER clang CACHE STRING "")
set(CMAKE_BUILD_TYPE Debug CACHE STRING "")
set(CMAKE_C_FLAGS_DEBUG "-O1 -g" CACHE STRING "")
set(SANITIZE ON CACHE BOOL "")
set(FUZZ ON CACHE BOOL "")
