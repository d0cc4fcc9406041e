#include "common/metrics/page.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <exception>
#include <future>

namespace attune::metrics {
namespace {

constexpr size_t kThreads = 2;
constexpr std::chrono::milliseconds kKnockInterval{10};

// Connects and leaves.
void Knock(const std::string& host, const std::string& port) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) return;
  int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd >= 0) {
    (void)connect(fd, found->ai_addr, found->ai_addrlen);
    close(fd);
  }
  freeaddrinfo(found);
}

}  // namespace

Result<std::unique_ptr<Page>> Page::Serve(
    const std::string& listen, std::vector<std::shared_ptr<prometheus::Collectable>> collectables) {
  const size_t colon = listen.rfind(':');
  if (colon == std::string::npos || colon == 0) {
    return InvalidArgument("metrics address \"" + listen + "\" is not HOST:PORT");
  }
  std::unique_ptr<Page> page(new Page);
  page->collectables_ = std::move(collectables);
  std::vector<int> ports;
  try {
    page->exposer_ = std::make_unique<prometheus::Exposer>(listen, kThreads);
    for (const auto& collectable : page->collectables_) {
      page->exposer_->RegisterCollectable(collectable);
    }
    ports = page->exposer_->GetListeningPorts();
  } catch (const std::exception&) {
    ports.clear();
  }
  if (ports.empty()) {
    return Unavailable("cannot serve metrics on " + listen +
                       ": the address is invalid or the port is taken; choose another "
                       "metrics_listen (port 0 takes any)");
  }
  page->host_ = listen.substr(0, colon);
  if (page->host_.starts_with('[')) page->host_ = page->host_.substr(1, page->host_.size() - 2);
  page->port_ = std::to_string(ports[0]);
  page->address_ = listen.substr(0, colon + 1) + page->port_;
  return page;
}

// The server's thread looks only every two seconds whether it is to end, or when someone connects.
Page::~Page() {
  if (exposer_ == nullptr) return;
  std::future<void> ended = std::async(std::launch::async, [this] { exposer_.reset(); });
  while (ended.wait_for(kKnockInterval) != std::future_status::ready) Knock(host_, port_);
}

}  // namespace attune::metrics
