# cpack reads this: every file gets the changelog's time, so that the same build makes the same package.
if(NOT DEFINED ENV{SOURCE_DATE_EPOCH})
  execute_process(COMMAND dpkg-parsechangelog -l ${CMAKE_CURRENT_LIST_DIR}/changelog -S Timestamp
                  OUTPUT_VARIABLE moment OUTPUT_STRIP_TRAILING_WHITESPACE)
  set(ENV{SOURCE_DATE_EPOCH} ${moment})
endif()

# The package installs into /usr and reads /etc: a build for another prefix is configured again for it. The TypeScript package has
# no paths.
# An archive of the sources has no projects at all.
set(built "")
set(component client-node)
if(CPACK_INSTALL_CMAKE_PROJECTS)
  list(GET CPACK_INSTALL_CMAKE_PROJECTS 0 built)
  list(GET CPACK_INSTALL_CMAKE_PROJECTS 2 component)
endif()
if(CPACK_GENERATOR STREQUAL DEB AND NOT CPACK_BUILT_FOR STREQUAL /usr AND NOT component STREQUAL client-node)
  set(again ${built}/for-usr)
  file(STRINGS ${built}/CMakeCache.txt cache REGEX "^(CMAKE_BUILD_TYPE|CMAKE_C_COMPILER|CMAKE_C_FLAGS|LTO|SANITIZE):")
  list(TRANSFORM cache PREPEND "-D")
  message(STATUS "building for the prefix /usr in ${again}")
  execute_process(COMMAND ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/../.. -B ${again} ${cache}
                          -DCMAKE_INSTALL_PREFIX=/usr -DBUILD_TESTING=OFF
                  OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
  cmake_host_system_information(RESULT cores QUERY NUMBER_OF_LOGICAL_CORES)
  execute_process(COMMAND ${CMAKE_COMMAND} --build ${again} --parallel ${cores} OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
  set(CPACK_INSTALL_CMAKE_PROJECTS "${again};boris-ingestd;${component};/")
endif()
