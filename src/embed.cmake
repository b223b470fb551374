# Writes OUTPUT, a C file that holds every file of FILES as bytes, in their order, in the array NAME that HEADER declares.
set(arrays "")
set(entries "")
set(n 0)
foreach(file IN LISTS FILES)
  get_filename_component(name ${file} NAME)
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${hex}")
  string(APPEND arrays "static const char text_${n}[] = {${bytes}0};\n")
  string(APPEND entries "        {\"${name}\", text_${n}, sizeof(text_${n}) - 1},\n")
  math(EXPR n "${n} + 1")
endforeach()
file(WRITE ${OUTPUT}
"/* Made at build time, by src/embed.cmake. */
#include \"${HEADER}\"

${arrays}
const struct embedded_file ${NAME}[] = {
${entries}};
const size_t ${NAME}_len = ${n};
")
