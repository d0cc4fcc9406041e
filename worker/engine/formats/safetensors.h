#pragma once

// Moved: the container is of use outside the engine too.
#include "common/safetensors/safetensors.h"
