#include "serving/version.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "serving/lane.h"

namespace brim::serving {

Version::Version(Parts parts)
    : parts_(std::move(parts)),
      number_text_(std::to_string(parts_.number)),
      lane_(std::make_unique<Lane>()) {
  BRIM_CHECK(!parts_.instances.empty());
  MutexLock lock(mutex_);
  for (auto& instance : parts_.instances) {
    all_.push_back(std::make_unique<Copy>(Copy{std::move(instance), {}}));
    free_.push_back(all_.back().get());
  }
  parts_.instances.clear();
}

Version::~Version() {
  // Nobody holds a handle, so no instance is out.
  if (parts_.release) {
    for (const auto& copy : all_) parts_.instances.push_back(std::move(copy->instance));
    parts_.release(std::move(parts_.loaded), std::move(parts_.instances));
    return;
  }
  all_.clear();  // Before the model that they belong to.
}

bool Version::Batches(const model::Signature& signature) const {
  return parts_.config.batch.enabled && parts_.config.batch.rows_max > 1 && signature.Batchable();
}

Copy* Version::Take() const {
  MutexLock lock(mutex_);
  if (free_.empty()) return nullptr;
  Copy* const copy = free_.back();  // The last used: its memory is warm.
  free_.pop_back();
  return copy;
}

void Version::Give(Copy* copy) const {
  MutexLock lock(mutex_);
  free_.push_back(copy);
}

std::size_t Version::copies() const {
  MutexLock lock(mutex_);
  return all_.size();
}

std::size_t Version::copies_free() const {
  MutexLock lock(mutex_);
  return free_.size();
}

Status Version::AddCopy() {
  if (parts_.loaded == nullptr) {
    return Status(Code::kFailedPrecondition, "copy_unsupported",
                  "this version has no loaded model");
  }
  // Slow (a compilation): outside the lock.
  Result<std::unique_ptr<runtimes::Instance>> made = parts_.loaded->NewInstance();
  if (!made.ok()) return made.status().WithContext("making another copy");
  auto copy = std::make_unique<Copy>(Copy{std::move(*made), {}});
  MutexLock lock(mutex_);
  free_.reserve(all_.size() + 1);  // Give() never allocates.
  free_.insert(free_.begin(), copy.get());
  all_.push_back(std::move(copy));
  return OkStatus();
}

bool Version::DropCopy() {
  std::unique_ptr<Copy> dropped;
  {
    MutexLock lock(mutex_);
    if (all_.size() <= 1 || free_.empty()) return false;
    Copy* const coldest = free_.front();
    free_.erase(free_.begin());
    const auto at = std::find_if(all_.begin(), all_.end(),
                                 [coldest](const auto& copy) { return copy.get() == coldest; });
    dropped = std::move(*at);
    all_.erase(at);
  }
  return true;  // `dropped` is freed here, outside the lock.
}

}  // namespace brim::serving
