#pragma once

// The objects of a bucket that an address with wildcards names.

#include <functional>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "coordinator/objects/timely_source.h"

namespace attune::objects {

// s3://BUCKET/KEY, in the key "*" for any characters within a folder and "**" for any folders, or a
// '/' at its end for all below it; options of OpenSource behind a '?'. Calls take for the bytes of
// each object in order (of an empty one once, with none), objects by name; file is s3://BUCKET/KEY.
// kInvalidArgument for another address, kNotFound when nothing matches; the first error of take
// ends it and is returned.
using TakeObject = std::function<Status(const std::string& file, std::string_view bytes)>;
Status ReadMatching(const Patience& patience, const std::string& address, const TakeObject& take);

}  // namespace attune::objects
