#pragma once

#include <filesystem>

namespace fathom {

/// Where a run keeps what.
struct RunFolder {
  std::filesystem::path path;

  std::filesystem::path config() const { return path / "config.json"; }  // fully resolved
  std::filesystem::path log() const { return path / "log.jsonl"; }       // train/log/json_log.h
  std::filesystem::path tensorboard() const { return path / "tensorboard"; }
  std::filesystem::path checkpoints() const { return path / "checkpoints"; }
  std::filesystem::path panels() const { return path / "panels"; }              // train/panels.h
  std::filesystem::path result() const { return path / "result.json"; }         // when it has ended
  std::filesystem::path weights() const { return path / "model.safetensors"; }  // likewise
};

}  // namespace fathom
