#include "tools/cli/live.h"

#include <algorithm>

#include "tools/cli/format.h"

namespace attune::cli {

void LiveLine::Update(const std::string& drawn, const std::string& plain) {
  if (quiet_) return;
  auto now = io_->clock->Monotonic();
  if (!io_->err_is_terminal) {
    if (plain == last_plain_ || now < next_plain_) return;
    last_plain_ = plain;
    next_plain_ = now + kPlainEvery;
    *io_->err << plain << std::endl;
    return;
  }
  last_drawn_ = drawn;
  if (drawn_ && now < next_draw_) return;
  next_draw_ = now + kDrawEvery;
  *io_->err << "\r\033[K" << drawn << std::flush;
  drawn_ = true;
}

void LiveLine::Print(const std::string& line) {
  if (quiet_) return;
  if (drawn_) *io_->err << "\r\033[K";
  *io_->err << line << "\n";
  if (drawn_) *io_->err << last_drawn_;
  io_->err->flush();
}

void LiveLine::Clear() {
  if (!drawn_) return;
  *io_->err << "\r\033[K" << std::flush;
  drawn_ = false;
}

void ShowBytes(LiveLine* live, const std::string& verb, double done, double total,
               std::chrono::duration<double> since_start) {
  const std::string amount = FormatBytes(done) + (total > 0 ? " of " + FormatBytes(total) : "");
  if (total <= 0) return live->Update(verb + " " + amount, verb + " " + amount);
  const double seconds = since_start.count();
  const double left = done > 0 ? seconds * (total - done) / done : -1;
  const std::string eta = seconds > 1 ? "  ETA " + FormatSeconds(std::max(left, 0.0)) : "";
  live->Update(verb + " " + Bar(done / total, 24, true) + " " + amount + eta,
               verb + " " + amount + eta);
}

}  // namespace attune::cli
