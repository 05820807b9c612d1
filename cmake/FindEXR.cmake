# OpenEXR's C library (Debian: libopenexr-dev) as the target EXR::EXR.
find_path(EXR_INCLUDE openexr.h PATH_SUFFIXES OpenEXR)
find_library(EXR_LIBRARY OpenEXRCore)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(EXR REQUIRED_VARS EXR_LIBRARY EXR_INCLUDE)
if(EXR_FOUND AND NOT TARGET EXR::EXR)
  add_library(EXR::EXR UNKNOWN IMPORTED)
  set_target_properties(EXR::EXR PROPERTIES IMPORTED_LOCATION ${EXR_LIBRARY}
                        INTERFACE_INCLUDE_DIRECTORIES ${EXR_INCLUDE})
endif()
