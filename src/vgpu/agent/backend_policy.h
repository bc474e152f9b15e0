// Which backend enforces a slice: what was asked, what the card offers, and what follows. Values
// and pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace brim::vgpu {

// Who keeps a slice within its memory. kNative: the driver, and the shim beside it, for what the
// tenant sees, for loans and for counts by class.
enum class MemoryBackend : std::uint8_t { kShim, kNative };
// Who shares out the card's time. kMps: the driver runs kernels of several processes beside each
// other, each on its part of the multiprocessors; the shim counts and never waits.
enum class CoresBackend : std::uint8_t { kShim, kMps };

std::string_view NameOf(MemoryBackend backend);
std::string_view NameOf(CoresBackend backend);

// What a probe found: whether the backend works for a card, and why or why not. The reason of a
// backend that does not work ends with what to do, where there is something.
struct Offer {
  bool works = false;
  std::string reason;
  std::string backend = {};  // "shim", "native", "mps".
  std::string holds = {};    // "memory", "cores", "memory and cores".
};

struct CardOffers {
  std::uint32_t card = 0;
  std::vector<Offer> offers;

  // One that does not work when nobody probed for it.
  Offer Of(std::string_view backend) const;
};

// Unset: automatic, which is the native memory limit where it works and the shim for the rest.
struct BackendWish {
  std::optional<MemoryBackend> memory;
  std::optional<CoresBackend> cores;
};

struct BackendChoice {
  MemoryBackend memory = MemoryBackend::kShim;
  CoresBackend cores = CoresBackend::kShim;

  friend bool operator==(const BackendChoice&, const BackendChoice&) = default;
};

// Whether the choice depends on what a probe for the backend finds.
bool DependsOn(const BackendWish& wish, std::string_view backend);

// "auto", "shim", "native" and "auto", "shim", "mps"; an empty text is "auto". INVALID_ARGUMENT.
Result<BackendWish> ParseWish(std::string_view memory, std::string_view cores);
// FAILED_PRECONDITION (backend_missing), with the card's reason and what to type instead.
Result<BackendChoice> ChooseBackends(const BackendWish& wish, const CardOffers& offers);

}  // namespace brim::vgpu
