#include "worker/engine/pch.h"
