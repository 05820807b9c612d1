#pragma once

#include "core/philox.h"
#include "train/synth/vec3.h"

namespace fathom::synth {

/// The random choices of one scene, in order. Only exact operations follow the counter, so a scene
/// has the same bits on every machine.
class SceneRandom {
 public:
  SceneRandom(uint64_t seed, uint64_t index) {
    const Philox4 words = philox(seed, index);
    key_ = (uint64_t(words.word[0]) << 32) | words.word[1];
  }
  uint64_t key() const { return key_; }

  uint32_t word() {
    if (used_ == 4) {
      block_ = philox(key_, counter_++);
      used_ = 0;
    }
    return block_.word[used_++];
  }
  float between(float low, float high) { return low + (high - low) * uniform_from(word()); }
  bool chance(float probability) { return uniform_from(word()) < probability; }
  int below(int count) { return int((uint64_t(word()) * uint64_t(count)) >> 32); }
  /// A colour of that lightness, whose channels differ from it by up to `chroma` of it.
  Vec3 color(float lightness, float chroma) {
    const float r = between(-1, 1), g = between(-1, 1), b = between(-1, 1);
    const float mean = (r + g + b) / 3;
    const auto channel = [&](float x) { return unit_clamp(lightness * (1 + chroma * (x - mean))); };
    return {channel(r), channel(g), channel(b)};
  }
  /// Any rotation; by the rational points of the circle, so that no sine is needed.
  Turn turn() {
    const float t = between(-1, 1), q = 1 / (1 + t * t), sign = chance(0.5f) ? 1.0f : -1.0f;
    return {sign * (1 - t * t) * q, 2 * t * q};
  }
  /// A rotation by up to about `amount` radians, for small amounts.
  Turn slight_turn(float amount) {
    const float t = between(-amount, amount) / 2, q = 1 / (1 + t * t);
    return {(1 - t * t) * q, 2 * t * q};
  }

 private:
  uint64_t key_, counter_ = 0;
  Philox4 block_{};
  int used_ = 4;
};

}  // namespace fathom::synth
