// See backend_policy.h.
#include "vgpu/agent/backend_policy.h"

#include <fmt/format.h>

namespace brim::vgpu {
namespace {

Status Unknown(const char* option, std::string_view text, const char* other) {
  return Status(Code::kInvalidArgument, "bad_backend",
                fmt::format("{} '{}': give auto, shim or {}", option, text, other));
}

Status Missing(const char* option, std::string_view name, std::uint32_t card, const Offer& offer) {
  return Status(Code::kFailedPrecondition, "backend_missing",
                fmt::format("{} {}: card {} does not offer it: {}. `{} shim` works everywhere; "
                            "`brim node doctor` shows what each card offers",
                            option, name, card, offer.reason, option));
}

}  // namespace

Offer CardOffers::Of(std::string_view backend) const {
  for (const Offer& offer : offers) {
    if (offer.backend == backend) return offer;
  }
  return {false, "it was not looked for", std::string(backend)};
}

std::string_view NameOf(MemoryBackend backend) {
  return backend == MemoryBackend::kNative ? "native" : "shim";
}

std::string_view NameOf(CoresBackend backend) {
  return backend == CoresBackend::kMps ? "mps" : "shim";
}

Result<BackendWish> ParseWish(std::string_view memory, std::string_view cores) {
  BackendWish wish;
  if (memory == "shim") {
    wish.memory = MemoryBackend::kShim;
  } else if (memory == "native") {
    wish.memory = MemoryBackend::kNative;
  } else if (!memory.empty() && memory != "auto") {
    return Unknown("--memory-backend", memory, "native");
  }
  if (cores == "shim") {
    wish.cores = CoresBackend::kShim;
  } else if (cores == "mps") {
    wish.cores = CoresBackend::kMps;
  } else if (!cores.empty() && cores != "auto") {
    return Unknown("--cores-backend", cores, "mps");
  }
  return wish;
}

bool DependsOn(const BackendWish& wish, std::string_view backend) {
  if (backend == "native") return wish.memory != MemoryBackend::kShim;
  if (backend == "mps") return wish.cores == CoresBackend::kMps;
  return false;
}

Result<BackendChoice> ChooseBackends(const BackendWish& wish, const CardOffers& offers) {
  BackendChoice choice;
  const Offer native = offers.Of("native");
  const Offer mps = offers.Of("mps");
  if (wish.memory == MemoryBackend::kNative && !native.works) {
    return Missing("--memory-backend", "native", offers.card, native);
  }
  if (wish.cores == CoresBackend::kMps && !mps.works) {
    return Missing("--cores-backend", "mps", offers.card, mps);
  }
  choice.memory =
      wish.memory.value_or(native.works ? MemoryBackend::kNative : MemoryBackend::kShim);
  // Never by itself: MPS gives no share of time, and one client's fault ends the others.
  choice.cores = wish.cores.value_or(CoresBackend::kShim);
  return choice;
}

}  // namespace brim::vgpu
