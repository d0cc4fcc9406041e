#pragma once

// Which versions are being read in this process, so that none is deleted under a reader. Lost with
// the process, as the readers are. Thread-safe.

#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/base/mutex.h"
#include "common/base/status.h"

namespace attune::datasets {

class Leases {
 public:
  // Held by one reader of one version; ends with the object.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept : leases_(other.leases_), version_(std::move(other.version_)) {
      other.leases_ = nullptr;
    }
    Lease& operator=(Lease&& other) noexcept;
    ~Lease() { End(); }

   private:
    friend class Leases;
    Lease(Leases* leases, std::string version) : leases_(leases), version_(std::move(version)) {}
    void End();
    Leases* leases_ = nullptr;
    std::string version_;
  };

  // version: "name@version". kNotFound while it is being removed. That it is there is to be asked
  // afterwards.
  Result<Lease> Take(const std::string& version) EXCLUDES(mutex_);

  // Until EndRemoval no lease on them is given. kFailedPrecondition when there is one on any.
  Status BeginRemoval(const std::vector<std::string>& versions) EXCLUDES(mutex_);
  void EndRemoval(const std::vector<std::string>& versions) EXCLUDES(mutex_);

 private:
  void End(const std::string& version) EXCLUDES(mutex_);

  Mutex mutex_;
  std::map<std::string, int> readers_ GUARDED_BY(mutex_);
  std::set<std::string> removed_ GUARDED_BY(mutex_);
};

}  // namespace attune::datasets
