#include "tools/cli/live.h"

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

}  // namespace attune::cli
