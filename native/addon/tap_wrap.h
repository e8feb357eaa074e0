// makeTap and keepTap for JavaScript; declared in src/addon.ts.
#pragma once

#include <napi.h>

namespace hopsack {

void InitTap(Napi::Env env, Napi::Object exports);

}  // namespace hopsack
