# Writes OUTPUT, the Content-Security-Policy that the status page PAGE is to be served with: its own style and its own
# script, known by their hashes, may work, requests go to the daemon alone, and nothing else is allowed.
# https://www.w3.org/TR/CSP3/#grammardef-hash-source

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

function(source_of element ret)
  if(NOT page MATCHES "<${element}>(.*)</${element}>")
    message(FATAL_ERROR "${PAGE} has no <${element}>")
  endif()
  sha256_base64("${CMAKE_MATCH_1}" hash)
  set(${ret} "'sha256-${hash}'" PARENT_SCOPE)
endfunction()

file(READ ${PAGE} page)
source_of(style style)
source_of(script script)
file(WRITE ${OUTPUT} "default-src 'none'; style-src ${style}; script-src ${script}; connect-src 'self'; img-src data:; \
base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
