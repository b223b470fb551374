# Writes the status page PAGE, which is index.html with its style and its script, and POLICY, the Content-Security-Policy
# that it is served with: its own style and its own script, known by their hashes, may work, requests go to the daemon
# alone, and nothing else is allowed. https://www.w3.org/TR/CSP3/#grammardef-hash-source

# The SHA-256 of @text in base64, which CMake cannot write: 32 bytes and one of zero are eleven groups of three.
function(sha256_base64 text ret)
  set(alphabet "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
  string(SHA256 hex "${text}")
  string(REGEX MATCHALL "......" groups "${hex}00")
  set(base64 "")
  foreach(group IN LISTS groups)
    foreach(shift 18 12 6 0)
      math(EXPR digit "(0x${group} >> ${shift}) & 63")
      string(SUBSTRING "${alphabet}" ${digit} 1 letter)
      string(APPEND base64 ${letter})
    endforeach()
  endforeach()
  # what stands for the byte of zero alone
  string(REGEX REPLACE ".$" "=" base64 "${base64}")
  set(${ret} "${base64}" PARENT_SCOPE)
endfunction()

# Puts @file in the place of @mark, within an element of its own.
macro(insert file mark source)
  file(READ ${CMAKE_CURRENT_LIST_DIR}/${file} text)
  string(REPLACE "${mark}" "${text}" page "${page}")
  sha256_base64("\n${text}" hash)
  set(${source} "'sha256-${hash}'")
endmacro()

file(READ ${CMAKE_CURRENT_LIST_DIR}/index.html page)
insert(style.css @STYLE@ style)
insert(page.js @SCRIPT@ script)
file(WRITE ${PAGE} "${page}")
file(WRITE ${POLICY} "default-src 'none'; style-src ${style}; script-src ${script}; connect-src 'self'; img-src data:; \
base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
