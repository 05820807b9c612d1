#include "train/data/hdf5.h"

#include <mutex>
#include <string>

#include "core/bytes.h"

namespace fathom {

// The signature stands at byte 0, 512, 1024, 2048 ... Source: HDF5 File Format Specification 3.0,
// section II.A.
bool is_hdf5(Bytes file) {
  for (size_t at = 0; at < file.size(); at = at == 0 ? 512 : 2 * at)
    if (starts_with(file.subspan(at), {"\x89HDF\r\n\x1a\n", 8})) return true;
  return false;
}

}  // namespace fathom

#ifdef FATHOM_HDF5

#include <hdf5.h>

namespace fathom {

// An identifier of the library, closed by the function that fits it.
class Handle {
 public:
  Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  operator hid_t() const { return id_; }
  bool good() const { return id_ >= 0; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

static std::string chosen_dataset(hid_t file, std::string_view key) {
  const auto there = [&](const std::string& path) {
    return H5Oexists_by_name(file, path.c_str(), H5P_DEFAULT) > 0;
  };
  if (!key.empty()) {
    check(there(std::string(key)), "no data set '", key, "' in the HDF5 file");
    return std::string(key);
  }
  for (const char* usual : {"/depth", "/dataset"})
    if (there(usual)) return usual;
  fail("neither /depth nor /dataset is in the HDF5 file; name the data set as the key");
}

static FloatMap parse(Bytes bytes, std::string_view key, int64_t max_values) {
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  check(H5Pset_fapl_core(access, 1 << 16, false) >= 0 &&
            H5Pset_file_image(access, const_cast<std::byte*>(bytes.data()), bytes.size()) >= 0,
        "libhdf5 cannot read from memory");
  const Handle file(H5Fopen("memory", H5F_ACC_RDONLY, access), H5Fclose);
  check(file.good(), "the HDF5 file is damaged");
  const std::string path = chosen_dataset(file, key);
  const Handle dataset(H5Dopen2(file, path.c_str(), H5P_DEFAULT), H5Dclose);
  check(dataset.good(), path, " is not a data set of the HDF5 file");
  const Handle space(H5Dget_space(dataset), H5Sclose);
  const Handle type(H5Dget_type(dataset), H5Tclose);
  check(space.good() && type.good(), "the HDF5 file is damaged");
  const H5T_class_t kind = H5Tget_class(type);
  check(kind == H5T_FLOAT || kind == H5T_INTEGER, path, " holds no numbers");
  hsize_t extents[H5S_MAX_RANK];
  const int rank = H5Sget_simple_extent_dims(space, extents, nullptr);
  int64_t sides[2] = {1, 1};
  int found = 0, significant = 0;
  for (int i = 0; i < rank; ++i) significant += extents[i] != 1;
  for (int i = 0; i < rank; ++i) {
    if (extents[i] == 1 && rank - i + found > 2 && significant <= 2 && rank > 2) continue;
    check(found < 2, path, " has ", rank, " axes; a map has two");
    check(extents[i] <= hsize_t(max_values), path, " is too large");
    sides[found++] = int64_t(extents[i]);
  }
  check(found == 2 && sides[0] > 0 && sides[1] > 0 && sides[0] <= max_values / sides[1], path,
        " is no map of at most ", max_values, " values: ", sides[0], " x ", sides[1]);
  FloatMap map{sides[0], sides[1], std::vector<float>(size_t(sides[0] * sides[1]))};
  check(H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, map.values.data()) >= 0,
        path, " cannot be read: the HDF5 file is damaged, or its filter is not known");
  return map;
}

FloatMap read_hdf5(Bytes file, std::string_view name, std::string_view key, int64_t max_values) {
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  static const bool silent = H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr) >= 0;
  check(silent, "libhdf5 cannot start");
  return naming(name, [&] { return parse(file, key, max_values); });
}

}  // namespace fathom

#else

namespace fathom {

FloatMap read_hdf5(Bytes, std::string_view name, std::string_view, int64_t) {
  fail(name, ": an HDF5 file, but this build has no libhdf5; install libhdf5-dev and build again");
}

}  // namespace fathom

#endif
