#include "serving/version.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "serving/lane.h"

namespace brim::serving {

Version::Version(Parts parts)
    : parts_(std::move(parts)),
      number_text_(std::to_string(parts_.number)),
      lane_(std::make_unique<Lane>()),
      all_(std::move(parts_.instances)) {
  BRIM_CHECK(!all_.empty());
  free_.reserve(all_.size());
  for (const auto& instance : all_) free_.push_back(instance.get());
}

Version::~Version() {
  // Nobody holds a handle, so no instance is out.
  if (parts_.release) {
    parts_.release(std::move(parts_.loaded), std::move(all_));
    return;
  }
  all_.clear();  // Before the model that they belong to.
}

bool Version::Batches(const model::Signature& signature) const {
  return parts_.config.batch.enabled && parts_.config.batch.rows_max > 1 && signature.Batchable();
}

runtimes::Instance* Version::Take() const {
  MutexLock lock(mutex_);
  if (free_.empty()) return nullptr;
  runtimes::Instance* instance = free_.back();  // The last used: its memory is warm.
  free_.pop_back();
  return instance;
}

void Version::Give(runtimes::Instance* instance) const {
  MutexLock lock(mutex_);
  free_.push_back(instance);
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
  MutexLock lock(mutex_);
  free_.reserve(all_.size() + 1);  // Give() never allocates.
  free_.insert(free_.begin(), made->get());
  all_.push_back(std::move(*made));
  return OkStatus();
}

bool Version::DropCopy() {
  std::unique_ptr<runtimes::Instance> dropped;
  {
    MutexLock lock(mutex_);
    if (all_.size() <= 1 || free_.empty()) return false;
    runtimes::Instance* const coldest = free_.front();
    free_.erase(free_.begin());
    const auto at = std::find_if(all_.begin(), all_.end(), [coldest](const auto& instance) {
      return instance.get() == coldest;
    });
    dropped = std::move(*at);
    all_.erase(at);
  }
  return true;  // `dropped` is freed here, outside the lock.
}

}  // namespace brim::serving
