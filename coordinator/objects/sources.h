#pragma once

// Private to this folder.

#include "coordinator/objects/object_source.h"

namespace attune::objects {

std::unique_ptr<ObjectSource> MakeFolder(const std::string& path);
Result<std::unique_ptr<ObjectSource>> MakeS3(const std::string& uri);

// False for a name that is hidden or lies in a hidden folder.
bool IsVisible(std::string_view name);

Status TooManyObjects(const std::string& source);

}  // namespace attune::objects
