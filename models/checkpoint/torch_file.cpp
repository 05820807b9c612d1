#include "models/checkpoint/torch_file.h"

#include <algorithm>

#include "models/checkpoint/bytes.h"
#include "models/checkpoint/flatten.h"
#include "models/checkpoint/pickle.h"
#include "models/checkpoint/zip.h"

namespace fathom {

static std::string_view storage_key(const Pickle& pickle, const Pickle::Value& storage) {
  return pickle.text(pickle.tuple_item(storage.first, 2));
}

// numel * size of the element type, which must be in the `held` bytes of the file.
static uint64_t storage_size(const Pickle& pickle, const Pickle::Value& storage, uint64_t held,
                             const std::string& path) {
  const int64_t numel = pickle[pickle.tuple_item(storage.first, 4)].integer;
  check(uint64_t(numel) <= held / uint64_t(storage.element->size_bytes), path, ": storage ",
        shown(storage_key(pickle, storage)), " should hold ", numel, " elements of ",
        storage.element->size_bytes, " bytes, but has ", held,
        " bytes; the file is damaged or incomplete");
  return uint64_t(numel) * uint64_t(storage.element->size_bytes);
}

// What a zip archive without a pickle most likely is.
static std::string_view other_zip(const ZipDirectory& zip) {
  if (zip.find("[Content_Types].xml")) return "an office document";
  if (zip.find("META-INF/MANIFEST.MF")) return "a Java archive";
  for (const ZipDirectory::Record& record : zip.records())
    if (record.name.ends_with(".npy")) return "a NumPy .npz archive";
  return "a zip archive, but not one that torch.save wrote (no data.pkl)";
}

Archive parse_torch_zip(std::span<const std::byte> bytes, const std::string& path) {
  const ZipDirectory zip(bytes, path);
  // One folder holds everything; its name is the writer's choice.
  const size_t slash = zip.first_name().find('/');
  const std::string folder(
      zip.first_name().substr(0, slash == std::string_view::npos ? 0 : slash + 1));
  const auto find = [&](std::string_view name) { return zip.find(folder + std::string(name)); };
  check(find("constants.pkl") == nullptr, path,
        ": a TorchScript archive (a compiled program), not a state dict; in Python: "
        "torch.save(torch.jit.load(path, 'cpu').state_dict(), 'weights.pth')");
  const ZipDirectory::Record* const data = find("data.pkl");
  check(data != nullptr, path, ": this is ", other_zip(zip),
        "; expected a .pth or .safetensors checkpoint");
  if (const ZipDirectory::Record* order = find("byteorder"))
    check(as_text(zip.read(*order)) == "little", path, ": byte order ",
          shown(as_text(zip.read(*order))),
          "; only little-endian checkpoints are read: save it again on a little-endian machine");

  Archive archive(path, "PyTorch zip");
  const Pickle pickle(zip.read(*data), path + ": data.pkl");
  flatten(
      pickle, path,
      [&](const Pickle::Value& storage) {
        const std::string_view key = storage_key(pickle, storage);
        const ZipDirectory::Record* const record = find("data/" + std::string(key.substr(0, 256)));
        check(record != nullptr, path, ": no record for storage ", shown(key),
              "; the file is damaged or incomplete");
        const std::span<const std::byte> held = zip.read(*record);
        return held.first(size_t(storage_size(pickle, storage, held.size(), path)));
      },
      archive);
  archive.seal();
  return archive;
}

// 0x1950a86a20f9469cfc6c as LONG1, after the protocol.
constexpr std::string_view kMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);

bool is_torch_legacy(std::span<const std::byte> bytes) {
  // Protocols 4 and 5 put a frame between the protocol and the number.
  const std::string_view start = as_text(bytes.first(std::min<size_t>(bytes.size(), 32)));
  return start.starts_with('\x80') && start.find(kMagic) != std::string_view::npos;
}

namespace {
struct LegacyStorage {
  std::string_view key;
  const ElementType* element;
  std::span<const std::byte> bytes;
};
}  // namespace

static const ElementType* element_of(const Pickle& object, std::span<const Pickle::Id> storages,
                                     std::string_view key) {
  const auto at = std::ranges::lower_bound(
      storages, key, {}, [&](Pickle::Id id) { return storage_key(object, object[id]); });
  return at != storages.end() && storage_key(object, object[*at]) == key ? object[*at].element
                                                                         : nullptr;
}

// The storages follow the pickles in the order of the key list: i64 count, then the elements.
static std::vector<LegacyStorage> read_storages(std::span<const std::byte> bytes, size_t at,
                                                const Pickle& object, const Pickle& keys,
                                                const std::string& path) {
  std::vector<Pickle::Id> named;
  object.for_each_storage([&](Pickle::Id id) { named.push_back(id); });
  std::ranges::sort(named, {}, [&](Pickle::Id id) { return storage_key(object, object[id]); });

  std::vector<LegacyStorage> storages;
  check(keys.kind(keys.root()) == Pickle::Kind::list, path, ": no list of storage keys");
  keys.for_each(keys.root(), [&](Pickle::Id, Pickle::Id id) {
    check(keys.kind(id) == Pickle::Kind::text, path, ": a storage key that is no text");
    const std::string_view key = keys.text(id);
    const ElementType* const element = element_of(object, named, key);
    check(element != nullptr, path, ": storage ", shown(key), " belongs to no tensor");
    check(slice(bytes, at, 8).has_value(), path, ": the file ends before storage ", shown(key),
          "; it is incomplete: download or copy it again");
    const auto count = little_endian<uint64_t>(bytes, at);
    const uint64_t left = bytes.size() - at - 8;
    check(count <= left / uint64_t(element->size_bytes), path, ": storage ", shown(key),
          " should hold ", count, " elements of ", element->size_bytes, " bytes, but ", left,
          " bytes are left; the file is incomplete: download or copy it again");
    const uint64_t size = count * uint64_t(element->size_bytes);
    storages.push_back({key, element, bytes.subspan(at + 8, size_t(size))});
    at += 8 + size_t(size);
    return true;
  });
  std::ranges::sort(storages, {}, &LegacyStorage::key);
  check(std::ranges::adjacent_find(storages, {}, &LegacyStorage::key) == storages.end(), path,
        ": a storage key is listed twice; the file is damaged");
  return storages;
}

// The sixth item of a persistent id: None, or (key, offset, size) of a part of the storage.
static std::span<const std::byte> apply_view(const Pickle& object, const Pickle::Value& storage,
                                             std::span<const std::byte> held,
                                             const std::string& path) {
  if (object.tuple_size(storage.first) < 6) return held;
  const Pickle::Id view = object.tuple_item(storage.first, 5);
  if (object.kind(view) == Pickle::Kind::none) return held;
  const std::string key(shown(storage_key(object, storage)));
  const auto integer = [&](int64_t i) {
    const Pickle::Id id = object.tuple_item(view, i);
    check(object.kind(id) == Pickle::Kind::integer && object[id].integer >= 0, path,
          ": the view of storage ", key, " has an offset or size that is no integer");
    return uint64_t(object[id].integer);
  };
  check(object.kind(view) == Pickle::Kind::tuple && object.tuple_size(view) == 3, path,
        ": the view of storage ", key, " is no tuple of three");
  const auto element = uint64_t(storage.element->size_bytes);
  const uint64_t offset = integer(1), size = integer(2), numel = held.size() / element;
  check(offset <= numel && size <= numel - offset, path, ": the view of storage ", key, " (offset ",
        offset, ", ", size, " elements) reaches past its ", numel, " elements");
  return held.subspan(size_t(offset * element), size_t(size * element));
}

Archive parse_torch_legacy(std::span<const std::byte> bytes, const std::string& path) {
  size_t at = 0;
  const auto next = [&](const char* part) {
    Pickle pickle(bytes.subspan(at), path + ": " + part);
    at += pickle.size_bytes();
    return pickle;
  };
  const Pickle magic = next("magic number");
  check(magic.kind(magic.root()) == Pickle::Kind::big_integer && magic.text(magic.root()) == kMagic,
        path, ": not a PyTorch file (no magic number)");
  const Pickle protocol = next("protocol version");
  check(protocol.kind(protocol.root()) == Pickle::Kind::integer &&
            protocol[protocol.root()].integer == 1001,
        path, ": unknown version of the legacy PyTorch format, expected 1001");
  const Pickle system = next("system information");
  const Pickle::Value* little = system.kind(system.root()) == Pickle::Kind::dict
                                    ? system.find(system.root(), "little_endian")
                                    : nullptr;
  check(little != nullptr && little->kind == Pickle::Kind::boolean, path,
        ": the system information does not state the byte order");
  check(little->integer == 1, path, ": a big-endian checkpoint; only little-endian ones are read");
  const Pickle object = next("object");
  const Pickle keys = next("storage keys");

  const std::vector<LegacyStorage> storages = read_storages(bytes, at, object, keys, path);
  Archive archive(path, "PyTorch legacy");
  flatten(
      object, path,
      [&](const Pickle::Value& storage) {
        const std::string_view key = storage_key(object, storage);
        const auto found = std::ranges::lower_bound(storages, key, {}, &LegacyStorage::key);
        check(found != storages.end() && found->key == key, path, ": no data for storage ",
              shown(key), "; the file is damaged or incomplete");
        check(found->element == storage.element, path, ": storage ", shown(key),
              " has two element types, ", found->element->name, " and ", storage.element->name);
        const uint64_t size = storage_size(object, storage, found->bytes.size(), path);
        return apply_view(object, storage, found->bytes.first(size_t(size)), path);
      },
      archive);
  archive.seal();
  return archive;
}

}  // namespace fathom
