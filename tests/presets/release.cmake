# cmake -C tests/presets/release.cmake -B build/release -G Ninja
set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "")
set(LTO ON CACHE BOOL "")
set(CMAKE_COMPILE_WARNING_AS_ERROR ON CACHE BOOL "")
# The package is made of this build.
set(CMAKE_INSTALL_PREFIX /usr CACHE PATH "")
