#include "coordinator/datasets/leases.h"

#include <utility>

namespace attune::datasets {

Leases::Lease& Leases::Lease::operator=(Lease&& other) noexcept {
  End();
  leases_ = std::exchange(other.leases_, nullptr);
  version_ = std::move(other.version_);
  return *this;
}

void Leases::Lease::End() {
  if (leases_ != nullptr) std::exchange(leases_, nullptr)->End(version_);
}

Result<Leases::Lease> Leases::Take(const std::string& version) {
  MutexLock lock(&mutex_);
  if (removed_.contains(version)) return NotFound("dataset " + version + " is being deleted");
  ++readers_[version];
  return Lease(this, version);
}

void Leases::End(const std::string& version) {
  MutexLock lock(&mutex_);
  auto readers = readers_.find(version);
  ATTUNE_CHECK(readers != readers_.end());
  if (--readers->second == 0) readers_.erase(readers);
}

Status Leases::BeginRemoval(const std::vector<std::string>& versions) {
  MutexLock lock(&mutex_);
  for (const std::string& version : versions) {
    if (readers_.contains(version)) {
      return FailedPrecondition(version +
                                " is being read, by an import or a comparison: try again when it "
                                "has ended");
    }
    if (removed_.contains(version)) {
      return FailedPrecondition(version + " is being deleted already");
    }
  }
  removed_.insert(versions.begin(), versions.end());
  return Status();
}

void Leases::EndRemoval(const std::vector<std::string>& versions) {
  MutexLock lock(&mutex_);
  for (const std::string& version : versions) removed_.erase(version);
}

}  // namespace attune::datasets
