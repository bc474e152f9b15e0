#include "serving/repository.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "serving/keeper.h"

namespace brim::serving {

struct Repository::Impl : Keeper {
  using Keeper::Keeper;
};

Repository::Repository(RepositoryOptions options, runtimes::Host& host, const Clock& clock,
                       const Logger& logger)
    : impl_(std::make_unique<Impl>(std::move(options), host, clock, logger)) {}

Repository::~Repository() = default;

Status Repository::Start() { return impl_->Start(); }

void Repository::WaitForFirstScan(const std::function<void(const ModelStatus&)>& progress) {
  impl_->WaitForFirstRound(progress);
}

Result<VersionHandle> Repository::Find(const ModelRef& ref) const {
  Result<VersionHandle> found = impl_->table().Find(ref);
  if (found.ok() || found.status().reason() != "model_unknown" || impl_->ready()) return found;
  return Status(Code::kUnavailable, "starting",
                fmt::format("model '{:.256}' is not known yet: the server is still loading its "
                            "models; try again later",
                            ref.name));
}
std::vector<ModelStatus> Repository::List() const { return impl_->table().List(); }
Result<ModelStatus> Repository::Describe(std::string_view name) const {
  return impl_->table().Describe(name);
}
std::vector<VersionHandle> Repository::Serving() const { return impl_->table().Serving(); }
bool Repository::Ready() const { return impl_->ready(); }

void Repository::Load(std::string name, LoadOverrides overrides, Done done) {
  // Shared only because std::function copies; the overrides may be gigabytes.
  auto held = std::make_shared<LoadOverrides>(std::move(overrides));
  impl_->Post([keeper = impl_.get(), name = std::move(name),
               held] { return keeper->LoadNow(name, std::move(*held)); },
              std::move(done));
}

void Repository::Unload(std::string name, Done done) {
  impl_->Post([keeper = impl_.get(), name = std::move(name)] { return keeper->UnloadNow(name); },
              std::move(done));
}

void Repository::Rescan(Done done) {
  impl_->Post([keeper = impl_.get()] { return keeper->RescanNow(); }, std::move(done));
}

std::vector<Repository::LoadCount> Repository::LoadCounts() const { return impl_->LoadCounts(); }

void Repository::TuneCopies() { impl_->TuneCopies(); }

}  // namespace brim::serving
