# Writes OUTPUT, a C file that holds every file of FILES as bytes, in the order of their names.
list(SORT FILES)
set(arrays "")
set(entries "")
set(n 0)
foreach(file IN LISTS FILES)
  get_filename_component(name ${file} NAME)
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND arrays "static const char sql_${n}[] = {${bytes}0};\n")
  string(APPEND entries "        {\"${name}\", sql_${n}},\n")
  math(EXPR n "${n} + 1")
endforeach()
file(WRITE ${OUTPUT}
"/* Made from migrations/ at build time. */
#include \"model/migration.h\"

${arrays}
const struct migration_file migration_files[] = {
${entries}};
const size_t migration_files_len = ${n};
")
