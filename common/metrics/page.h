#pragma once

// Serves /metrics in Prometheus' text format.

#include <prometheus/collectable.h>
#include <prometheus/exposer.h>

#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace attune::metrics {

class Page {
 public:
  // listen: "host:port" with a numeric host; port 0 takes a free one. kUnavailable when it cannot
  // be listened on. The page shares the collectables.
  static Result<std::unique_ptr<Page>> Serve(
      const std::string& listen,
      std::vector<std::shared_ptr<prometheus::Collectable>> collectables);
  // Ends the server's threads, after the scrapes under way.
  ~Page();

  // With the port that was bound.
  const std::string& address() const { return address_; }

 private:
  Page() = default;
  std::vector<std::shared_ptr<prometheus::Collectable>> collectables_;
  std::unique_ptr<prometheus::Exposer> exposer_;
  std::string host_, port_, address_;
};

}  // namespace attune::metrics
