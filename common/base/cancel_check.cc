#include "common/base/cancel_check.h"

namespace attune {

Status CancelCheck::Now() const {
  return gone_ && gone_() ? Cancelled("nobody waits for it any more") : Status();
}

}  // namespace attune
