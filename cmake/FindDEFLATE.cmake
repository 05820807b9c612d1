# libdeflate (Debian: libdeflate-dev) as the target DEFLATE::DEFLATE.
find_path(DEFLATE_INCLUDE libdeflate.h)
find_library(DEFLATE_LIBRARY deflate)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(DEFLATE REQUIRED_VARS DEFLATE_LIBRARY DEFLATE_INCLUDE)
if(DEFLATE_FOUND AND NOT TARGET DEFLATE::DEFLATE)
  add_library(DEFLATE::DEFLATE UNKNOWN IMPORTED)
  set_target_properties(DEFLATE::DEFLATE PROPERTIES IMPORTED_LOCATION ${DEFLATE_LIBRARY}
                        INTERFACE_INCLUDE_DIRECTORIES ${DEFLATE_INCLUDE})
endif()
